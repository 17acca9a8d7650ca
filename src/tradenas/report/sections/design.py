"""7 and 8: the champion's architecture, and whether the supernet that chose it can be believed."""

from __future__ import annotations

from tradenas.report.describe import describe
from tradenas.report.figures.architecture import architecture
from tradenas.report.figures.ranks import hover_points, ranks
from tradenas.report.formulas import term
from tradenas.report.markup import el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import Interval, Strategy
from tradenas.report.sections.parts import Section, absent, figure
from tradenas.report.wording import count, decimal, interval, percent

__all__ = ["champion", "coupling"]


def champion(record: RunRecord) -> Section:
    """7: the champion drawn as a graph."""
    found = record.champion
    if found is None:
        return Section(
            name="architecture", short="Architecture", title="Architecture", body=absent("No champion has been chosen.")
        )
    words: list[object] = [el("strong", found.name)]
    words += [f", {count(found.params)} parameters"] if found.params is not None else []
    words += [join([", digest ", el("code", found.digest[:16])])] if found.digest is not None else []
    words += [f". {describe(found.architecture)}." if found.architecture else "."]
    drawn = figure(record, architecture, caption=join(words)) or absent(_no_network(found))
    return Section(name="architecture", short="Architecture", title="Architecture", body=drawn)


def _no_network(strategy: Strategy) -> str:
    if strategy.kind == "routed":
        return f"{strategy.name} is no single network; who speaks in which regime stands under Regimes."
    return f"{strategy.name} is not a network."


def coupling(record: RunRecord) -> Section:
    """8: the supernet's ranking beside standalone training."""
    found, title = record.coupling, "Supernet against standalone"
    if found is None:
        return Section(name="coupling", short="Supernet", title=title, body=absent(
            "Not measured in this study. Without it the supernet's ranking is a belief, not a finding."
        ))  # fmt: skip
    top = found.ceiling
    tau = Interval(value=found.tau, low=found.tau_low, high=found.tau_high)
    ceiling = Interval(value=top.tau, low=top.tau_low, high=top.tau_high) if top is not None else None
    words: list[object] = [term("tau", record), el("span", interval(tau), class_="figure")]
    words += [f"over {count(found.num)} architectures, by {found.metric.replace('_', ' ')}"]
    words += [f"; Spearman {decimal(found.spearman)}"] if found.spearman is not None else []
    words += [f"; top five in common {percent(found.top5_overlap, 0)}"] if found.top5_overlap is not None else []
    if ceiling is not None:
        words += [". Ceiling", el("span", interval(ceiling), class_="figure")]
        words += [
            "is how far two standalone trainings with other seeds agree: a supernet can hardly rank better than that"
        ]
    words += [". On the diagonal both agree" + ("; the large dot is the champion." if _has_champion(record) else ".")]
    caption = join(words)
    read = "Ranks by the supernet and alone. Use the left and right arrow keys to read out each architecture."
    drawn = figure(record, ranks, caption=caption, hover=("points", hover_points(found)), read=read, beside=True)
    return Section(
        name="coupling",
        short="Supernet",
        title=title,
        body=drawn or absent("Fewer than two architectures have both scores."),
    )


def _has_champion(record: RunRecord) -> bool:
    champion, found = record.champion, record.coupling
    return champion is not None and found is not None and any(p.digest == champion.digest for p in found.points)
