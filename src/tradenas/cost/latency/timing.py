"""Times of many small calls beside each other on a machine that is not quiet.

Every round visits all calls in order; a visit repeats its call and takes the middle.  Between blocks of visits the
probe is timed the same way, and a visit counts in the probes around it: a machine that is slower for a while is slower
for both.

    t_i = quartile over rounds of  middle(call i in the round) / unit,     unit = quartile of the probes around it

The quartile is the lower one.  What disturbs a call makes it longer, so a low value is nearer the truth than a mean;
but the least of all is not lower still: where a probe was disturbed and a call beside it was not, their ratio is far
too small, and a minimum finds just that (two halves of a measurement then differ by 6 to 10 %, and by 0.3 % so).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tradenas.errors import ConfigError
from tradenas.typing import FloatArray

__all__ = ["Call", "Clock", "Effort", "Rounds", "Timed", "percentiles", "rounds"]


class Timed(Protocol):
    """What times itself, nearer to what is timed than Python can."""

    def times_us(self, number: int) -> FloatArray:
        """Microseconds of so many single calls."""


#: Timings of the probe before and behind a visit that are its unit.
AROUND = 8
Call = Callable[[], object] | Timed
#: Nanoseconds, never falling.
Clock = Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: over all calls; four or more, so that halves of them can be compared.
        slice_us: of repeating a call in one visit.
        least: repetitions of a call in a visit, at least.
        most: repetitions, at most.
        block: visits between two timings of the probe.
    """

    rounds: int = 12
    slice_us: float = 250.0
    least: int = 9
    most: int = 200
    block: int = 8

    def __post_init__(self) -> None:
        lows = {"rounds": 4, "least": 1, "most": self.least, "block": 1}
        for name, low in lows.items():
            if getattr(self, name) < low:
                raise ConfigError(f"effort.{name}", got=getattr(self, name), expected=f"{low} or more")


@dataclass(frozen=True)
class Rounds:
    """What was seen.

    Attributes:
        middle_us_RN: mean of the middle half of the repetitions of each call in each round, in microseconds.
        unit_us_RN: the probe around it.
        probe_us: the middle of all timings of the probe.
    """

    middle_us_RN: FloatArray
    unit_us_RN: FloatArray
    probe_us: float

    @property
    def probes_N(self) -> FloatArray:  # noqa: N802
        """Each call in probes."""
        return self._of(slice(None))

    def _of(self, which: slice) -> FloatArray:
        found: FloatArray = np.quantile(self.middle_us_RN[which] / self.unit_us_RN[which], 0.25, axis=0)
        return found

    def retest(self, calls: slice) -> float:
        """How far two halves of the rounds disagree: mean |first - second| / mean of both, over some of the calls."""
        first, second = (self._of(slice(k, None, 2))[calls] for k in (0, 1))
        return float(np.mean(np.abs(first - second) / (0.5 * (first + second))))


def rounds(
    calls: Sequence[Call],
    probe: Call,
    effort: Effort | None = None,
    *,
    clock: Clock = time.perf_counter_ns,
    progress: Callable[[int, int], None] | None = None,
) -> Rounds:
    """Times calls round by round; see the head of this module.

    Args:
        calls: that are timed; each is run a few times before.
        probe: the unit.
        effort: how long.
        clock: nanoseconds; given in tests.
        progress: told (visits so far, visits in all).
    """
    effort = effort or Effort()
    repeats = [_repeats(call, effort, clock) for call in (probe, *calls)]
    number = len(calls)
    middle_RN, unit_RN = np.empty((effort.rounds, number)), np.empty((effort.rounds, number))
    with _undisturbed():
        probes = [_middle(probe, repeats[0], clock)]
        before_RN = np.empty((effort.rounds, number), dtype=np.int64)
        for r in range(effort.rounds):
            for i, call in enumerate(calls):
                middle_RN[r, i] = _middle(call, repeats[1 + i], clock)
                before_RN[r, i] = len(probes)
                if (i + 1) % effort.block == 0 or i + 1 == number:
                    probes.append(_middle(probe, repeats[0], clock))
                    if progress is not None:
                        progress(r * number + i + 1, effort.rounds * number)
    for at in np.unique(before_RN):
        around = probes[max(0, at - AROUND) : at + AROUND]
        unit_RN[before_RN == at] = np.quantile(around, 0.25)
    return Rounds(middle_RN, unit_RN, float(np.median(probes)))


def percentiles(call: Call, number: int, clock: Clock = time.perf_counter_ns) -> tuple[float, float]:
    """Median and 99th percentile of single calls, in microseconds."""
    with _undisturbed():
        times = _times(call, number, clock)
    return float(np.median(times)), float(np.percentile(times, 99))


def _repeats(call: Call, effort: Effort, clock: Clock) -> int:
    """Warms a call up; how often it fits into a slice."""
    each = float(np.min(_times(call, 6, clock)[3:]))
    return int(np.clip(effort.slice_us / max(each, 1e-3), effort.least, effort.most))


def _middle(call: Call, repeats: int, clock: Clock) -> float:
    """Of some calls the mean of the middle half, which is finer than the clock's tick (10 ns, a part in C takes 20).

    The first call is left out: what the last one left in the caches is not its own.
    """
    times = np.sort(_times(call, repeats + 1, clock)[1:])
    outer = repeats // 4
    return float(times[outer : repeats - outer].mean())


def _times(call: Call, number: int, clock: Clock) -> FloatArray:
    if not callable(call):
        return call.times_us(number)
    found = np.empty(number)
    for k in range(number):
        begin = clock()
        call()
        found[k] = clock() - begin
    return found / 1e3


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without the collector of garbage."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
