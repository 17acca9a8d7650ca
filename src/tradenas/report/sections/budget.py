"""What networks may cost, what they cost, and what a smaller one would have cost in quality."""

from __future__ import annotations

from functools import partial

from tradenas.report.figures.front import front, hover_front
from tradenas.report.figures.latency import hover_latency, latency, mean_error
from tradenas.report.markup import Markup, el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import BudgetRecord, ResourceRecord
from tradenas.report.sections.parts import Section, facts, figure, note, table
from tradenas.report.wording import DASH, amount, cost_name, count, decimal, in_order, percent

__all__ = ["budget", "cost_words"]

REFUSED = "What a limit refuses is never scored, so it is no trial: limits make a search smaller, not luckier."
DOMINANCE = "Architectures beyond a limit were scored too and are trials; none of them could become a candidate."
FRONT = (
    "Steps join what nothing beats in this cost and in quality; a ring marks what the search put first, larger dots "
    "are finalists, hollow ones are beaten in every objective at once. Quality is what the search saw."
)
WORDS = ("estimated", "simulated", "synthesised", "routing modelled", "placed and routed")


def budget(record: RunRecord) -> Section | None:
    """The section; `None` where nothing was limited, weighed, timed or exported as a circuit."""
    parts = [*_limits(record), *_fronts(record), *_latency(record), *_resources(record)]
    if not parts:
        return None
    return Section(name="budget", short="Budget", title="What networks may cost, and do", body=join(parts))


def cost_words(record: RunRecord) -> str:
    """What the champion costs, in a line; empty where that is not known."""
    champion = record.champion
    if champion is None or champion.costs is None:
        return ""
    limits = record.budget.costs if record.budget is not None else {}
    told = []
    for name, value in in_order(champion.costs):
        limit = limits[name].limit if name in limits else None
        told.append(amount(name, value, unit=True) + (f" (limit {amount(name, limit)})" if limit is not None else ""))
    return " · ".join(told)


def _limits(record: RunRecord) -> list[Markup]:
    found = record.budget
    if found is None:
        return []
    champion = record.champion.costs if record.champion is not None and record.champion.costs is not None else {}
    rows = [
        [
            cost_name(name),
            amount(name, spread.limit) if spread.limit is not None else "none",
            amount(name, spread.smallest),
            amount(name, spread.median),
            amount(name, spread.largest),
            percent(spread.fits) if spread.limit is not None else DASH,
            el("strong", amount(name, champion[name])) if name in champion else DASH,
        ]
        for name, spread in in_order(found.costs)
    ]
    header = ["cost", "limit", "smallest", "median", "largest", "fits", "champion"]
    limited = any(spread.limit is not None for spread in found.costs.values())
    return [
        el("p", _opening(found)),
        table("Costs over the space, worked out before anything was trained", header, rows),
        note(_reading(found) + (f" {DOMINANCE if found.rule == 'dominance' else REFUSED}" if limited else "")),
        *([_exponents(found)] if found.exponents else []),
    ]


def _opening(found: BudgetRecord) -> str:
    drawn = f"all {count(found.size)} architectures were listed"
    if found.looked_at != found.size:
        drawn = f"{count(found.looked_at)} of {count(found.size)} architectures were drawn"
        drawn += f", 95 % interval {percent(found.low)} to {percent(found.high)}"
    limits = [name for name, spread in found.costs.items() if spread.limit is not None]
    if not limits:
        return f"Nothing is limited; {drawn}."
    words = f"{percent(found.share)} of what is drawn from the space meets every limit ({drawn})."
    if found.device is not None:
        words += f" Limits that the study does not name are those of {found.device.name}: {found.device.words}"
    return words


def _reading(found: BudgetRecord) -> str:
    mode = "one more candle, all else remembered" if found.mode == "stream" else "a whole window at once"
    bits = f"{found.precision} bits" if isinstance(found.precision, int) else found.precision
    words = f"Multiply-accumulates, peak and latency are those of {mode}; bytes are of {bits}."
    if found.full_size:
        words += " Costs are those of the full size at which networks are retrained, not of the smaller searched ones."
    if found.not_held:
        told = ", ".join(f"{cost_name(name)} {amount(name, limit)}" for name, limit in found.not_held.items())
        words += f" The device also limits what the search has no price for: {told}."
    return words


def _exponents(found: BudgetRecord) -> Markup:
    each = [
        (
            cost_name(e.cost),
            f"({cost_name(e.cost)} / {amount(e.cost, e.target)}) to the power of {decimal(e.below)} at the target or "
            f"below it, {decimal(e.above)} above it",
        )
        for e in found.exponents
    ]
    return join([el("h3", "What costs are worth in the objective"), facts(each)])


def _fronts(record: RunRecord) -> list[Markup]:
    found = record.front
    if found is None:
        return []
    costs = [name for name in found.objectives if found.points and name in found.points[0].costs]
    costs.sort(key=lambda name: name != "latency_us")
    drawn = [
        figure(
            record, partial(front, cost=cost), caption=_caption(record, cost, first=i == 0),
            hover=("points", hover_front(record, cost)), beside=True,
            read=f"Candidates by {cost_name(cost)} and quality. Use the left and right arrow keys to read them out.",
        )
        for i, cost in enumerate(costs)
        if len(found.points) > 1
    ]  # fmt: skip
    stood = [c for c in (record.search.candidates if record.search is not None else ()) if c.instead_of is not None]
    told = [
        note(f"Candidate {c.digest[:10]} stands in for what the alphas chose, which is beyond a limit: it is the "
             "nearest that fits by what they weigh.")
        for c in stood
    ]  # fmt: skip
    return [el("h3", "Quality against cost"), *(d for d in drawn if d is not None), *told] if any(drawn) else []


def _caption(record: RunRecord, cost: str, *, first: bool) -> Markup:
    found = record.front
    assert found is not None
    chosen = next((p for p in found.points if p.chosen), None)
    head = el("span", amount(cost, chosen.costs[cost], unit=True), class_="figure") if chosen is not None else ""
    if not first:
        return join([head, el("span", "what the chosen one takes.")]) if chosen is not None else Markup("")
    best = sum(p.front == 0 for p in found.points)
    objectives = ", ".join(found.metric.replace("_", " ") if o == "merit" else cost_name(o) for o in found.objectives)
    words = f"{count(best)} of {count(len(found.points))} candidates are on the front of {objectives}, which covers "
    words += f"{percent(found.hypervolume)} of the box between the best and the worst of each. {FRONT}"
    said = f"Chosen: {found.rule}." if chosen is not None else ""
    return join([head, el("span", f"{said} {words}")])


def _latency(record: RunRecord) -> list[Markup]:
    found, error = record.latency, mean_error(record)
    if found is None or error is None:
        return []
    under = f", load {decimal(found.load, 1)}" if found.load is not None else ""
    caption = (
        f"{found.backend}, {found.mode}, {found.cpu}{under}; timed again, a net differs by {percent(found.floor)}. "
        f"Predicted and measured lie {percent(error)} apart on average; dashed lines are 10 % off."
    )
    if found.slower is not None:
        caption += f" The probe took {decimal(found.slower)} times what it took when the table was made."
    drawn = figure(
        record, latency, caption=caption, hover=("points", hover_latency(record)), beside=True,
        read="Networks by predicted and measured latency. Use the left and right arrow keys to read them out.",
    )  # fmt: skip
    return [el("h3", f"Latency of a {found.mode}, predicted and measured"), drawn] if drawn is not None else []


def _resources(record: RunRecord) -> list[Markup]:
    if not record.resources:
        return []
    rows = [
        [one.place, one.mode, count(one.cycles), word, _figures(one, word)]
        for one in record.resources
        for word in sorted(one.known, key=_place)
    ]
    caption = "Circuits that left this run: estimated by da4ml, synthesised by yosys, placed and routed by nextpnr"
    return [
        el("h3", "Circuits"),
        table(caption, ["export", "mode", "cycles", "how it is known", "figures"], rows, text=(0, 1, 3, 4)),
        note("Streaming and window are two designs: the one remembers, the other is given a whole window."),
    ]


def _place(word: str) -> tuple[int, str]:
    """How near to a chip a figure is; `synthesised ice40` stands beside `synthesised`."""
    return next((i for i, known in enumerate(WORDS) if word.startswith(known)), len(WORDS)), word


def _figures(one: ResourceRecord, word: str) -> str:
    def shown(value: object) -> str:
        return count(value) if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in one.known[word].items())
