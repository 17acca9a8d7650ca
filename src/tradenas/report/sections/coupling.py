"""8: does the supernet tell the truth, how many finalists does that ask for, and why is it not nearer?"""

from __future__ import annotations

from collections.abc import Iterable

from tradenas.report.figures.chances import chances
from tradenas.report.figures.intervals import intervals
from tradenas.report.figures.ranks import hover_points, ranks
from tradenas.report.formulas import term
from tradenas.report.markup import Markup, el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import Causes, Coupling, Finding, Interval, Repair
from tradenas.report.sections.parts import Section, absent, figure, note, table
from tradenas.report.sections.rankers import rankers
from tradenas.report.wording import DASH, count, decimal, interval, percent

__all__ = ["coupling"]

TITLE = "Does the supernet tell the truth?"
STATES = {"found": "found", "not found": "not found", "open": "cannot be told yet"}


def coupling(record: RunRecord) -> Section:
    """8: the supernet's ranking beside standalone training."""
    found = record.coupling
    if found is None:
        return _section(
            absent("Not measured in this study. Without it the supernet's ranking is a belief, not a finding.")
        )
    read = "Ranks by the supernet and alone. Use the left and right arrow keys to read out each architecture."
    drawn = figure(
        record, ranks, caption=_caption(record, found), hover=("points", hover_points(found)), read=read, beside=True
    )
    if drawn is None:
        return _section(absent("Fewer than two architectures have both scores."))
    parts = [drawn, _figures(record, found), _supernets(found), _shortlist(record), rankers(found), _causes(found)]
    parts = [part if part is not None else Markup("") for part in parts]
    if found.causes is not None:
        parts.insert(-1, el("h3", "Why it is not nearer: three causes, measured"))
        parts.append(_repairs(record, found.causes))
    return _section(join(parts))


def _section(body: Markup) -> Section:
    return Section(name="coupling", short="Supernet", title=TITLE, body=body)


def _caption(record: RunRecord, found: Coupling) -> Markup:
    words: list[object] = [term("tau", record), el("span", interval(found.interval), class_="figure")]
    words += [f"over {count(found.num)} architectures, by {found.metric.replace('_', ' ')}"]
    if found.ceiling is not None:
        words += [". Ceiling", el("span", interval(found.ceiling.interval), class_="figure")]
        words += [
            "is how far two standalone trainings with other seeds agree: a supernet can hardly rank better than that"
        ]
    champion = record.champion
    shown = champion is not None and any(p.digest == champion.digest for p in found.points)
    words += [". On the diagonal both agree" + ("; the large dot is the champion." if shown else ".")]
    return join(words)


def _figures(record: RunRecord, found: Coupling) -> Markup | None:
    """What else the same scores say, each with what it means."""
    told: list[tuple[object, str, str]] = []
    if found.of_ceiling is not None:
        told.append(("share of the ceiling", interval(found.of_ceiling.interval), "τ over what training noise allows"))
    if found.top_quarter is not None:
        words = f"order within the best {count(found.top_quarter.num)}"
        told.append(("τ, best quarter", interval(found.top_quarter.interval), words))
    if found.top5_overlap is not None:
        words = f"by supernet and alone; Spearman {decimal(found.spearman)}"
        told.append(("top five in common", percent(found.top5_overlap, 0), words))
    if found.regret is not None:
        spread = f", where best and worst are {decimal(found.spread, 3)} apart" if found.spread is not None else ""
        words = f"{found.metric.replace('_', ' ')} lost by trusting its favourite{spread}"
        told.append((term("regret", record), decimal(found.regret, 3), words))
    return _stats(told) if told else None


def _stats(told: Iterable[tuple[object, str, str]]) -> Markup:
    return el(
        "dl",
        *(
            el("div", el("dt", name), el("dd", value, class_="value"), el("dd", words, class_="small"))
            for name, value, words in told
        ),
        class_="stats",
    )


def _supernets(found: Coupling) -> Markup | None:
    if not found.supernets:
        return None
    rows: list[list[object]] = [
        [f"supernet {i}", interval(s.interval), decimal(s.spearman), decimal(s.regret, 3)]
        for i, s in enumerate(found.supernets, start=1)
    ]
    rows.append(["all together", interval(found.interval), decimal(found.spearman), decimal(found.regret, 3)])
    return table(
        "Each supernet by itself, and the order they make together",
        ["ranker", "Kendall τ", "Spearman", "regret"],
        rows,
        classes=[None] * len(found.supernets) + ["champion"],
    )


def _shortlist(record: RunRecord) -> Markup | None:
    caption = [el("strong", f"{record.finalists.words}. ")] if record.finalists is not None else []
    words = "The band follows τ's interval. Assumed: supernet and truth agree alike at the top and at the bottom."
    drawn = figure(record, chances, caption=join([*caption, term("held", record, "The chance"), ": ", words]))
    return join([el("h3", "How many to retrain"), drawn]) if drawn is not None else None


def _causes(found: Coupling) -> Markup | None:
    causes = found.causes
    if causes is None:
        return None
    had, epochs = causes.updates, f"{causes.epochs} more epoch{'s' if causes.epochs > 1 else ''}"
    training = [
        (f"of what paths know after {epochs}, new", _share(causes.longer.new)),
        ("change of τ by them", _change(causes.longer)),
        (f"updates of the rarest part, {had.rarest}", f"{count(had.fewest)} of {count(had.steps)}; median "
         f"{count(had.median)}"),
        ("parts whose updates cannot carry them past their random start", f"{had.stuck} of {had.parts}"),
    ]  # fmt: skip
    pulling: list[tuple[str, str]] = []
    for kind in causes.gradients.kinds if causes.gradients is not None else ():
        agree = interval(kind.agreement) if kind.agreement is not None else "noise only"
        against = f"{percent(kind.negative, 0)} of pairs opposed (noise: {percent(kind.negative_floor, 0)})"
        pulling.append((f"agreement at {kind.kind}, 1 is full", f"{agree}; {against}"))
    pulling.append((f"change of τ by {epochs} with weights of their own", _change(causes.private)))
    reading = [
        ("change of τ by heads of their own", _change(causes.refitted)),
        ("τ between the orders before and after", interval(causes.refitted.same_order)),
        ("of what paths know with them, new", _share(causes.refitted.new)),
    ]
    return el(
        "div",
        _card("Under-training", causes.undertraining, training),
        _card("Interference", causes.interference, pulling),
        _card("Co-adaptation", causes.coadaptation, reading),
        class_="causes",
    )


def _card(name: str, finding: Finding, told: Iterable[tuple[str, str]]) -> Markup:
    return el(
        "article",
        el("h4", name),
        el("p", el("b", STATES.get(finding.state, finding.state)), class_="state"),
        el("dl", *(el("div", el("dt", what), el("dd", value)) for what, value in told)),
        el("p", finding.advice, class_="advice"),
        class_=finding.state.replace(" ", "-"),
    )


def _change(repair: Repair) -> str:
    found = repair.gain
    if found is None or found.value is None:
        return DASH
    return f"{decimal(found.value, sign=True)} [{decimal(found.low, sign=True)}, {decimal(found.high, sign=True)}]"


def _share(found: Interval | None) -> str:
    if found is None:
        return "they know nothing of these rows"
    return f"{percent(found.value, 0)} [{percent(found.low, 0)}, {percent(found.high, 0)}]"


def _repairs(record: RunRecord, causes: Causes) -> Markup:
    repairs = (
        ("shared weights, longer", causes.longer),
        ("weights of their own", causes.private),
        ("heads of their own", causes.refitted),
    )
    rows = [(name, "finalist", repair.gain) for name, repair in repairs if repair.gain is not None]
    drawn = figure(
        record,
        lambda _, *, width: intervals(rows, what="Change of Kendall tau with standalone training", width=width),
        caption=f"Change of Kendall τ with standalone training after each repair of the same paths, 95 %. Above 0, the "
        f"repair brings the ranking nearer to the truth. Training on took {causes.epochs} epochs.",
    )
    words = note(
        "Causes are not shares of a whole: longer training also undoes some co-adaptation, and paths that pull apart "
        "are one reason why training does not arrive. Gradients are compared on different training rows, so that "
        "noise, which pulls all paths alike, has no part in their agreement."
    )
    return join([drawn, words]) if drawn is not None else words
