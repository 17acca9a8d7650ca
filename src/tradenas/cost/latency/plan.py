"""Which of the needed parts are measured: all of them at a few numbers of rows, or a frame that the others hang on.

Rows.  A part on one row is another program than on several (a product of a matrix and a vector), and on two it can be,
so these are always measured by themselves.  Beyond, kernels of vectors work in blocks of 16 rows, at whose ends times
jump; inside a block they lie on a straight line.  The first and the last number of rows of each block are measured.

What follows.  Where that is more than `most` samples, a step is measured between all its channels with one thing that
follows it, its usual one u, and with the others at one width m of its input only:

    t(step > f, c_in, c_out) = t(step > u, c_in, c_out) + t(step > f, m, c_out) - t(step > u, m, c_out)

since norm and activation work on what the step made and know nothing of its input.  Where that is still too much, the
difference is measured behind one sort of step only, that with the most followers, and of many widths of an input only
so many, evenly along them: times between them lie on a line.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from tradenas.cost.latency.enumerate import Needed
from tradenas.cost.latency.parts import THEN, Part

__all__ = ["Plan", "make_plan", "nodes", "split"]

Key = tuple[str, int, int]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        rows: of each part to be measured.
        left_out: parts that are needed and are not measured themselves, with the rows that would have been.
    """

    rows: dict[Part, tuple[int, ...]]
    left_out: dict[Part, tuple[int, ...]]


def split(form: str) -> tuple[str, str]:
    """The step of a form, and what follows it.

    >>> split("taps 0-2 > norm > relu"), split("taps 0")
    (('taps 0-2', 'norm > relu'), ('taps 0', ''))
    """
    main, _, then = form.partition(THEN)
    return main, then


def nodes(rows: Collection[int], block: int = 16) -> tuple[int, ...]:
    """Where to measure so that all of these rows lie on a node, or between two of one block.

    Args:
        rows: that parts are run on.
        block: rows that a kernel takes at once; 0 where times lie on one straight line from the second row on.

    >>> nodes({1, 3, 5, 7, 15, 17, 25}), nodes({1}), nodes(range(1, 41)), nodes({1, 2, 9, 30}, 0)
    ((1, 3, 15, 17, 25), (1,), (1, 2, 3, 16, 17, 32, 33, 40), (1, 2, 30))
    """
    if not block:
        return tuple(sorted({1} & set(rows) | {f(r for r in rows if r > 1) for f in (min, max) if max(rows) > 1}))
    found = {r for r in rows if r <= 2}
    blocks: dict[int, list[int]] = defaultdict(list)
    for r in rows:
        if r > 2:
            blocks[(r - 1) // block].append(r)
    return tuple(sorted(found.union(*((min(each), max(each)) for each in blocks.values()))))


def make_plan(needed: Needed, *, most: int = 1200, block: int = 16, inputs: int = 3) -> Plan:
    """What to measure of what is needed.

    Args:
        needed: parts with the rows that were seen of them; steps of one sort share the rows of all of them.
        most: parts times rows up to which all are measured.
        block: see `nodes`.
        inputs: widths of an input that are kept where there are too many.
    """
    seen: dict[str, set[int]] = defaultdict(set)
    for (form, _, _), (_, rows) in needed.items():
        seen[_sort(form)] |= rows
    every = {placed.part: nodes(seen[_sort(placed.part.form)], block) for placed, _ in needed.values()}
    if sum(map(len, every.values())) <= most:
        return Plan(rows=every, left_out={})
    keys = {part.key for part in every}
    usual, kept = _usual(keys), every
    for tight in (False, True):
        if sum(map(len, kept.values())) > most:
            frame = _frame(keys, usual, inputs=inputs if tight else 0)
            kept = {p: rows for p, rows in every.items() if p.key in frame}
    return Plan(rows=kept, left_out={p: rows for p, rows in every.items() if p not in kept})


def _sort(form: str) -> str:
    return "front" if form.startswith("front") else split(form)[0]


def _usual(keys: Collection[Key]) -> dict[str, str]:
    """What follows each step between the most channels; of equals the first by name."""
    count: dict[str, Counter[str]] = defaultdict(Counter)
    for form, _, _ in keys:
        main, then = split(form)
        count[main][then] += 1
    return {main: min(each, key=lambda then: (-each[then], then)) for main, each in count.items()}


def _frame(keys: Collection[Key], usual: dict[str, str], *, inputs: int) -> set[Key]:
    """The parts that are measured: with the usual follower, and with the others at the middle input of the step.

    Where `inputs` is not 0, others behind one sort of step only, and so many inputs.
    """
    followers: dict[str, set[str]] = defaultdict(set)
    for form, _, _ in keys:
        followers[split(form)[0]].add(split(form)[1])
    richest = max(sorted(followers), key=lambda main: len(followers[main]))
    found = set[Key]()
    for form, c_in, c_out in keys:
        main, then = split(form)
        anchor = THEN.join(filter(None, (main, usual[main])))
        if form.startswith("front") or then == usual[main] or (anchor, c_in, c_out) not in keys:
            found.add((form, c_in, c_out))
        elif not inputs or main == richest or not {then, usual[main]} <= followers[richest]:
            widths = sorted(i for f, i, o in keys if f == form and o == c_out and (anchor, i, c_out) in keys)
            if c_in == widths[len(widths) // 2]:
                found.add((form, c_in, c_out))
    return _thinned(found, inputs) if inputs else found


def _thinned(keys: Collection[Key], inputs: int) -> set[Key]:
    """Of one form and one output, or of one form whose output is tied to its input, some inputs, evenly along them."""
    kept = set(keys)
    for tied in (False, True):
        alike: dict[tuple[str, float], list[Key]] = defaultdict(list)
        for form, c_in, c_out in sorted(kept):
            alike[form, c_out / c_in if tied else c_out].append((form, c_in, c_out))
        for each in alike.values():
            if len({i for _, i, _ in each}) > inputs and (not tied or len({o for _, _, o in each}) > inputs):
                kept -= set(each) - {each[round(k * (len(each) - 1) / (inputs - 1))] for k in range(inputs)}
    return kept
