"""Times of parts, and what lies between those that were measured.

Between rows and between channels times lie on straight lines (`plan` says where the nodes are).  A part whose own form
was not measured there hangs on another: its step with something else behind it, and the difference that what follows
makes elsewhere, at the same output,

    t(step > f, c_in) = t(step > g, c_in) + [t(s > f, i) - t(s > b, i)] - [t(s > g, j) - t(s > b, j)]

with s the step itself or any other, and b = g, i = j where that was measured.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from tradenas.cost.latency.parts import THEN, Placed
from tradenas.cost.latency.plan import split
from tradenas.errors import SpaceError

__all__ = ["Entries"]


class Entries:
    """Times of parts by key and rows, with what lies between them.

    Args:
        times: form, channels read, channels made: rows to probes.
    """

    def __init__(self, times: Mapping[tuple[str, int, int], Mapping[int, float]]) -> None:
        self.times = {key: dict(sorted(rows.items())) for key, rows in times.items()}
        self._shapes: dict[str, list[tuple[int, int]]] = {}
        for form, c_in, c_out in sorted(self.times):
            self._shapes.setdefault(form, []).append((c_in, c_out))
        #: What follows each step somewhere.
        self._forms: dict[str, list[str]] = {}
        for form in self._shapes:
            main, then = split(form)
            self._forms.setdefault(main, []).append(then)
        #: Channels made of each that is read, by a step: one ratio where they are tied.
        self._ratios: dict[str, set[float]] = {}
        for form, c_in, c_out in self.times:
            self._ratios.setdefault(split(form)[0], set()).add(c_out / c_in)
        self._known: dict[tuple[str, int, int, int], float] = {}

    def __len__(self) -> int:
        return sum(map(len, self.times.values()))

    def __call__(self, form: str, c_in: int, c_out: int, rows: int) -> float:
        """Probes of a part on some rows.

        Raises:
            SpaceError: the table has nothing that it could be made of.
        """
        asked = (form, c_in, c_out, rows)
        if asked not in self._known:
            found = self._own(*asked)
            if found is None:
                found = next(self._hung(*asked), None)
            if found is None:
                raise SpaceError(
                    "latency table", got=f"the part {form!r} from {c_in} to {c_out} channels, which is not in it",
                    expected="parts of the space that it was measured for", fix="make it again: tradenas measure",
                )  # fmt: skip
            self._known[asked] = found
        return self._known[asked]

    def _own(self, form: str, c_in: int, c_out: int, rows: int) -> float | None:
        """Of a form that was measured, here or at two inputs beside: of this output, or (a filter, say) tied to it."""
        if (form, c_in, c_out) in self.times:
            return _over(self.times[form, c_in, c_out], rows)
        shapes = self._shapes.get(form, [])
        tied = shapes if self._ratios.get(split(form)[0]) == {c_out / c_in} else []
        for near in ([s for s in shapes if s[1] == c_out], tied):
            if len(near) > 1:
                return _over({s[0]: _over(self.times[form, *s], rows) for s in near}, c_in, apart=())
        return None

    def _hung(self, form: str, c_in: int, c_out: int, rows: int) -> Iterator[float]:
        """By way of what else follows the step, the nearest way first."""
        main, then = split(form)
        for other in self._forms.get(main, ()):
            base = self._own(_form(main, other), c_in, c_out, rows)
            if base is None:
                continue
            for step in (main, *self._forms):
                if then in self._forms[step] and other in self._forms[step]:
                    for by in (other, *self._forms[step]):
                        own, usual = (self._more(step, f, by, c_out, rows) for f in (then, other))
                        if own is not None and usual is not None:
                            yield base + own - usual

    def _more(self, step: str, then: str, by: str, c_out: int, rows: int) -> float | None:
        """What one thing behind a step takes more than another, at the first input at which both are known."""
        if then == by:
            return 0.0
        for c_in in [i for i, o in self._shapes[_form(step, then)] if o == c_out]:
            less = self._own(_form(step, by), c_in, c_out, rows)
            if less is not None:
                return _over(self.times[_form(step, then), c_in, c_out], rows) - less
        return None

    def total(self, parts: Sequence[Placed]) -> float:
        """Of all parts of a network together."""
        return sum(self(*placed.part.key, placed.rows) for placed in parts)


def _form(main: str, then: str) -> str:
    return THEN.join(filter(None, (main, then)))


def _over(times: Mapping[int, float], at: int, *, apart: tuple[int, ...] = (1, 2)) -> float:
    """On the straight lines between nodes, and on the outer ones beyond; no line from those apart, if there are two."""
    if at in times:
        return times[at]
    places = sorted(times)
    if len(far := [k for k in places if k not in apart]) > 1:
        places = far
    if len(places) == 1:
        return times[places[0]]
    k = min(max(bisect_left(places, at), 1), len(places) - 1)
    low, high = places[k - 1], places[k]
    return times[low] + (at - low) / (high - low) * (times[high] - times[low])
