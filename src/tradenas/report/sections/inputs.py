"""What the search reads, and what each input and each option is worth."""

from __future__ import annotations

from collections.abc import Sequence

from tradenas.report.figures.columns import column_effects, column_rows
from tradenas.report.figures.effects import THIRD, digits, input_effects, is_switch, layer_effects, shown
from tradenas.report.markup import el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import InputRecord, Interval, OptionEffect
from tradenas.report.sections.parts import Section, absent, facts, figure, note
from tradenas.report.wording import DASH, count, interval
from tradenas.space.switches import COLUMN, GROUP, OFF, names_by_op
from tradenas.space.switches import FEATURE as SINGLE

__all__ = ["findings", "inputs"]

CAPTION = (
    "Mean merit with an option less that with the other options of its choice, all else equal. Bars are 95 % bootstrap "
    "intervals over architectures and over rows; where a bar crosses zero its dot is hollow: nothing was measured. "
    "Options in bold were chosen. Averages over all architectures, good and bad: what suits the chosen one best may be "
    "another."
)
#: Intervals of 95 % of which one leaves out zero where there is nothing.
MANY = 20
COLUMNS = (
    "Mean merit of a column under an op less that under its other options, all else equal. Shaded where the 95 % "
    "interval leaves out zero, green above it and red below; elsewhere nothing was measured. Framed: chosen. A column "
    "whose drop is red is worth reading."
)
THOUSANDTHS = " Numbers, where there is room for them, are thousandths."
#: Names listed before the rest is counted.
NAMED = 6


def inputs(record: RunRecord) -> Section | None:
    """The section; `None` for a study that did not measure it."""
    found = record.inputs
    if found is None:
        return None
    body: list[object] = [
        _chosen(found),
        el("ul", join(el("li", words) for words in findings(found))),
        figure(record, input_effects, caption=CAPTION),
    ]
    if not any(e.choice.startswith("input/") for e in found.effects):
        body += [absent("The space leaves no choice of inputs.")]
    if drawn := figure(record, column_effects, caption=COLUMNS + (THOUSANDTHS if found.metric in THIRD else "")):
        body += [el("h3", "An op for each column"), drawn]
    if drawn := figure(record, layer_effects):
        body += [el("h3", "The network's choices"), drawn]
    words = (
        f"{count(found.drawn)} architectures were drawn at random, and each change of one choice was scored with the "
    )
    words += (
        f"shared weights: {count(found.scored)} looks at the ranking rows besides those of the search, each a trial "
    )
    words += "in the ledger. None of them chose anything."
    return Section(name="inputs", short="Inputs", title="Inputs", body=join([*body, note(words)]))


def _chosen(found: InputRecord) -> object:
    given = found.chosen
    off = [name.removeprefix(GROUP).removeprefix(SINGLE) for name, v in given.items() if is_switch(name) and v == "off"]
    lookback, ops = given.get("input/lookback"), names_by_op(given)
    off += ops.get(OFF[COLUMN], [])
    return facts([
        ("Lookback", f"{lookback} candles" if lookback is not None else DASH),
        ("Transform", given.get("input/transform", "one for each column" if ops else DASH)),
        ("Indicators read", f"{count(found.read)} of {count(found.indicators)}"),
        ("Switched off", ", ".join(off) or "none"),
    ])  # fmt: skip


def findings(found: InputRecord) -> list[str]:
    """What was measured, in sentences: what adds, what harms, what adds nothing measurable."""
    rows = shown(found, inputs=True)
    said: list[str] = []
    for kind, ending in ((GROUP, " features"), (SINGLE, "")):
        switches, plural = [e for e in rows if e.choice.startswith(kind)], bool(ending)
        for verb, some in (
            ("add" if plural else "adds", sorted((e for e in switches if e.low > 0), key=lambda e: -e.effect)),
            (
                "take away" if plural else "takes away",
                sorted((e for e in switches if e.high < 0), key=lambda e: e.effect),
            ),
        ):
            said += [f"{e.choice.removeprefix(kind)}{ending} {verb} {_worth(found, e)}." for e in some[:NAMED]]
        nothing = [e.choice.removeprefix(kind) for e in switches if e.low <= 0 <= e.high]
        if nothing:
            verb = "add" if plural or len(nothing) > 1 else "adds"
            said.append(f"{_list(nothing)}{ending} {verb} nothing measurable.")
    for choice, words in (("input/lookback", "A lookback of {} candles"), ("input/transform", "The transform {}")):
        options = [e for e in rows if e.choice == choice]
        better = sorted((e for e in options if e.low > 0), key=lambda e: -e.effect)
        said += [f"{words.format(e.option)} adds {_worth(found, e)} to the mean of the others." for e in better[:1]]
        if options and not better:
            said.append(f"No {choice.removeprefix('input/')} is measurably better than the others.")
    return said + _columns(found)


def _columns(found: InputRecord) -> list[str]:
    """Which columns are worth reading, which are not, and under which op."""
    off, said = OFF[COLUMN], []
    rows = column_rows(found)
    cells = [e for ops in rows.values() for e in ops.values()]
    if len(cells) >= MANY:
        sure = sum(e.low > 0 or e.high < 0 for e in cells)
        said.append(
            f"Of {len(cells)} intervals, one for each op of each column, {count(len(cells) // MANY)} would leave out "
            f"zero by chance; {count(sure)} do."
        )
    drops = {name: ops[off] for name, ops in rows.items() if off in ops}
    worth = sorted((n for n, e in drops.items() if e.high < 0), key=lambda n: drops[n].effect)
    said += [f"Reading {name} adds {_worth(found, drops[name])} to dropping it." for name in worth[:NAMED]]
    harm = sorted((n for n, e in drops.items() if e.low > 0), key=lambda n: -drops[n].effect)
    said += [f"Dropping {name} adds {_worth(found, drops[name])}." for name in harm[:NAMED]]
    if nothing := [name for name in drops if name not in (*worth, *harm)]:
        said.append(f"Whether {_list(nothing)} {'is' if len(nothing) == 1 else 'are'} read makes no measurable change.")
    best = [max(ops.values(), key=lambda e: e.effect) for ops in rows.values()]
    better = sorted((e for e in best if e.low > 0 and e.option != off), key=lambda e: -e.effect)
    said += [
        f"{e.choice.removeprefix(COLUMN)} under {e.option} adds {_worth(found, e)} to the mean of its other options."
        for e in better[:NAMED]
    ]
    if rows and not better:
        said.append("No op of a column is measurably better than its others.")
    return said


def _worth(found: InputRecord, effect: OptionEffect) -> str:
    sign = -1.0 if effect.high < 0 else 1.0
    low, high = sorted((sign * effect.low, sign * effect.high))
    shown_as = interval(Interval(value=sign * effect.effect, low=low, high=high), digits(found.metric))
    return f"{shown_as} {'less loss' if found.metric == 'loss' else found.metric.replace('_', ' ').replace('ic', 'IC')}"


def _list(names: Sequence[str]) -> str:
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))
