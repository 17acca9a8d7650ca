"""What an architecture may cost, and what its cost is worth in an objective."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from tradenas.errors import ConfigError
from tradenas.registry import did_you_mean

__all__ = ["COSTS", "Budget", "Exponent"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Hard limits on an architecture; 0 sets none.

    Attributes:
        macs: most multiply-accumulates for one more candle.
        parameters: most weights.
        weight_bytes: most bytes of weights.
        peak_bytes: most bytes of activations at once, while one more candle (or a window) is run.
        state_bytes: most bytes to remember between candles.
        bit_operations: most multiply-accumulates times the bits of both factors, where the space chooses bits.
        luts: most look-up tables of a circuit, as digits and bits are expected to make them, where all that the space
            offers is fixed point.
        latency_us: most microseconds that a signal takes, as the latency table predicts.
    """

    macs: float = 0.0
    parameters: float = 0.0
    weight_bytes: float = 0.0
    peak_bytes: float = 0.0
    state_bytes: float = 0.0
    bit_operations: float = 0.0
    luts: float = 0.0
    latency_us: float = 0.0

    def __post_init__(self) -> None:
        for name, limit in self.limits(every=True).items():
            if not 0.0 <= limit < math.inf:
                raise ConfigError(f"budget.{name}", got=limit, expected="0 (no limit) or a number above")

    def limits(self, *, every: bool = False) -> dict[str, float]:
        """By name, those that are set, or every one."""
        found = {name: float(getattr(self, name)) for name in COSTS}
        return found if every else {name: limit for name, limit in found.items() if limit}

    def over(self, costs: Mapping[str, float]) -> tuple[str, ...]:
        """The limits that some costs exceed."""
        return tuple(name for name, limit in self.limits().items() if costs[name] > limit)

    def violation(self, costs: Mapping[str, float]) -> float:
        """How far beyond the limits some costs are, in shares of each limit, summed; 0 where all are met.

        >>> Budget(macs=100, parameters=50).violation({"macs": 150.0, "parameters": 40.0})
        0.5
        """
        return math.fsum(max(0.0, costs[name] / limit - 1.0) for name, limit in self.limits().items())

    def tightened(self, **limits: float) -> Budget:
        """With these limits as well; of two limits on one cost the lower one holds.

        >>> Budget(macs=100).tightened(macs=200, parameters=50).limits()
        {'macs': 100.0, 'parameters': 50.0}
        """
        now = self.limits()
        return replace(self, **{n: min(now.get(n, math.inf), limit) for n, limit in limits.items() if limit})


#: Costs that a budget can limit, an objective weigh and a front hold, by name; less is better.
COSTS: tuple[str, ...] = tuple(f.name for f in fields(Budget))


@dataclass(frozen=True, kw_only=True)
class Exponent:
    """How a cost pulls on the objective: quality x (cost / target)^w (Tan et al. 2019, arXiv:1807.11626, eq. 2-3).

    Attributes:
        cost: its name: one of those that a budget limits.
        target: what it is compared with; 0 takes the budget's limit on it.  A target beside no limit may be exceeded.
        below: w of costs at the target or below it: -0.07 makes half the cost worth as much as 5 % more quality, 0
            nothing.
        above: w of costs above the target: -0.07 again is the paper's soft constraint, 0 and -1 its hard one.
    """

    cost: str
    target: float = 0.0
    below: float = -0.07
    above: float = -0.07

    def __post_init__(self) -> None:
        if self.cost not in COSTS:
            raise ConfigError(
                "budget.exponents.cost",
                got=repr(self.cost),
                expected="a cost",
                fix=did_you_mean(self.cost, list(COSTS)),
            )
        if not 0.0 <= self.target < math.inf:
            raise ConfigError("budget.exponents.target", got=self.target, expected="0 (the limit) or a number above")
        for name in ("below", "above"):
            if not -math.inf < getattr(self, name) <= 0.0:
                raise ConfigError(
                    f"budget.exponents.{name}", got=getattr(self, name), expected="0 or less: no cost is an asset"
                )

    def log_factor(self, cost: float, target: float) -> float:
        """Log of (cost / target)^w.

        >>> round(Exponent(cost="macs", below=-0.07).log_factor(50.0, 100.0), 4)
        0.0485
        """
        ratio = max(cost, 1e-12) / target  # no cost is free: a log of 0 would be worth any quality
        return (self.below if ratio <= 1.0 else self.above) * math.log(ratio)
