"""One figure, and the mark that it is held against."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Figure"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A ratio or a size: its median and range over rounds or seeds.

    Attributes:
        what: is measured.
        value: its median; `low` and `high` the smallest and largest seen.
        bar: the mark of issue 7; None where it names none.
        at_least: whether the mark is to be reached from below or not to be passed.
        unit: `x` for ratios.
        note: what one has to know to read it.
    """

    what: str
    value: float
    low: float
    high: float
    bar: float | None = None
    at_least: bool = True
    unit: str = "x"
    note: str = ""

    @classmethod
    def of(cls, what: str, each: Sequence[float], **more: Any) -> Figure:
        """Median and range of what was seen."""
        return cls(what=what, value=statistics.median(each), low=min(each), high=max(each), **more)

    @property
    def met(self) -> bool | None:
        if self.bar is None or math.isnan(self.value):
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def row(self) -> str:
        """A line of the table."""
        sign = "" if self.bar is None else f"{'>=' if self.at_least else '<='} {self.bar:g}"
        said = {None: "", True: "met", False: "**missed**"}[self.met]
        value = f"{self.value:.3g} {self.unit} ({self.low:.3g}-{self.high:.3g})"
        value = "not run" if math.isnan(self.value) else value
        return f"| {self.what} | {sign} | {value} | {said} | {self.note} |"

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}
