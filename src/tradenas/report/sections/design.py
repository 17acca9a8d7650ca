"""7: the champion's architecture."""

from __future__ import annotations

from tradenas.report.describe import describe
from tradenas.report.figures.architecture import architecture
from tradenas.report.markup import el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import Strategy
from tradenas.report.sections.parts import Section, absent, facts, figure
from tradenas.report.wording import count
from tradenas.space.switches import names_by_op

__all__ = ["champion"]


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
    ops = names_by_op(found.architecture or {})
    each = [el("h3", "What is done to each column"), facts((op, ", ".join(n)) for op, n in ops.items())] if ops else []
    return Section(name="architecture", short="Architecture", title="Architecture", body=join([drawn, *each]))


def _no_network(strategy: Strategy) -> str:
    if strategy.kind == "routed":
        return f"{strategy.name} is no single network; who speaks in which regime stands under Regimes."
    return f"{strategy.name} is not a network."
