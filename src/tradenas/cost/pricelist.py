"""What every architecture of a space costs, what it may cost, and whether it fits: what a search asks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from torch import Tensor

from tradenas.cost.budget import COSTS, Budget, Exponent
from tradenas.cost.count import bit_operations, macs, parameters, weight_bytes, window_macs
from tradenas.cost.memory import PeakBytes, state_bytes
from tradenas.errors import ConfigError, SpaceError
from tradenas.nn import Mixture, Network
from tradenas.space import Architecture, Picked
from tradenas.space.fixed import EXACT
from tradenas.space.switches import QUANT

__all__ = ["Exact", "Mode", "PriceList", "prices"]

Mode = Literal["stream", "window"]
#: What to do where a cost is not known.
MISSING = {
    "latency_us": "name a latency table in budget.table: `tradenas measure` makes one",
    "bit_operations": "offer bits in space.weight_bits or space.activation_bits",
    "luts": "offer nothing but bits in space.weight_bits and space.activation_bits",
}


class Exact(Protocol):
    """A cost that is known of an architecture."""

    def exact(self, architecture: Mapping[str, Picked]) -> float:
        """What one architecture costs."""


def prices(
    network: Network, *, precision: str | int = "float32", mode: Mode = "stream", latency: Exact | None = None
) -> dict[str, Exact]:
    """The costs that a budget limits, by name.

    Args:
        network: over the space; its weights do not matter.
        precision: of weights, activations and what is remembered: a name of `tradenas.cost.count.BITS`, or bits.
        mode: `stream` for one more candle where all that can be remembered is, `window` for a whole window at once, of
            as many rows as any architecture may read.
        latency: predicts microseconds; without it there is no `latency_us`.  `bit_operations` there are where the space
            chooses bits, `luts` where it offers nothing but bits.
    """
    window = mode == "window"
    found: dict[str, Exact] = {
        "macs": window_macs(network) if window else macs(network),
        "parameters": parameters(network),
        "weight_bytes": weight_bytes(network, precision),
        "peak_bytes": PeakBytes(network, precision, rows=network.reach() if window else 1),
        "state_bytes": state_bytes(network, precision),
    }
    precisions = {c.name.removeprefix(QUANT): c.options for c in network.space.choices if c.name.startswith(QUANT)}
    if precisions:
        found["bit_operations"] = bit_operations(network)
    if all(EXACT not in precisions.get(name, (EXACT,)) for name in ("weights", "activations")):
        from tradenas.cost.fpga import Luts

        found["luts"] = Luts(network)
    return found | ({} if latency is None else {"latency_us": latency})


@dataclass(frozen=True, eq=False, kw_only=True)
class PriceList:
    """Costs by name, the limits on them, and what they are worth in the objective.

    Attributes:
        costs: of the networks that leave.
        budget: the limits.
        exponents: of the objective; see `Exponent`.
        rule: what becomes of architectures beyond a limit: `reject` never scores one; `dominance` scores them, and
            ranks them behind all that fit, by how far beyond they are (Deb 2000).
        train: which single paths a supernet's steps are drawn from: those that are `fitting`, or `all`.
        scale: quality that is worth a factor of e in the objective; 0 takes that of the metric (`parts.reward`).
        resized: what becomes of an architecture of the search before it leaves; the same one where it is None.
        fixed: choices that are settled by that, with the index of their only option in the costs' space.

    Raises:
        ConfigError: a limit or an exponent on a cost that is not known here.
    """

    costs: Mapping[str, Exact]
    budget: Budget = field(default_factory=Budget)
    exponents: tuple[Exponent, ...] = ()
    rule: Literal["reject", "dominance"] = "reject"
    train: Literal["fitting", "all"] = "fitting"
    scale: float = 0.0
    resized: Callable[[Architecture], Architecture] | None = None
    fixed: Mapping[str, int] = field(default_factory=dict)
    _known: dict[Architecture, dict[str, float]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.require(self.budget.limits(), place="budget")
        self.require([e.cost for e in self.exponents], place="budget.exponents")
        for exponent in self.exponents:
            self.target(exponent)

    def require(self, names: Mapping[str, float] | list[str] | tuple[str, ...], *, place: str) -> None:
        """Refuses the name of a cost that is not known here.

        Raises:
            ConfigError: one is not; `latency_us` needs a table.
        """
        for name in names:
            if name not in self.costs:
                raise ConfigError(
                    place, got=repr(name), expected=f"a cost that is known: {', '.join(self.costs)}",
                    fix=MISSING.get(name),
                )  # fmt: skip

    @classmethod
    def of_network(cls, network: Network) -> PriceList:
        """Without limits."""
        return cls(costs=prices(network))

    def limited(self, **limits: float) -> PriceList:
        """With these limits as well; of two on one cost the lower one holds."""
        budget = self.budget.tightened(**limits)
        return self if budget == self.budget else replace(self, budget=budget)

    @property
    def limits(self) -> dict[str, float]:
        """Those that are set, by name."""
        return self.budget.limits()

    def one(self, name: str, architecture: Architecture) -> float:
        """One cost of an architecture."""
        known = self._known.setdefault(architecture, {})
        if name not in known:
            known[name] = self.costs[name].exact(self.resized(architecture) if self.resized else architecture)
        return known[name]

    def of(self, architecture: Architecture) -> dict[str, float]:
        """All costs of an architecture, in the order of `tradenas.cost.COSTS`."""
        return {name: self.one(name, architecture) for name in COSTS if name in self.costs}

    def fits(self, architecture: Architecture) -> bool:
        """Whether all limits are met."""
        return all(self.one(name, architecture) <= limit for name, limit in self.limits.items())

    def violation(self, architecture: Architecture) -> float:
        """How far beyond the limits, in shares of each, summed; 0 where it fits."""
        return self.budget.violation({name: self.one(name, architecture) for name in self.limits})

    def expected(self, name: str, mixture: Mixture) -> Tensor:
        """The mean cost of what a mixture over the search's space draws: a float64 scalar, differentiable.

        Raises:
            SpaceError: a cost without a known mean (`peak_bytes`: see `tradenas.cost.peak_parts`).
        """
        mean = getattr(self.costs[name], "expected", None)
        if mean is None:
            raise SpaceError(f"PriceList.expected({name!r})", got="no known mean", expected="a cost that is a sum")
        found: Tensor = mean({**mixture, **self.fixed})
        return found

    def target(self, exponent: Exponent) -> float:
        """What a cost is compared with in the objective.

        Raises:
            ConfigError: neither a target nor a limit.
        """
        target = exponent.target or self.limits.get(exponent.cost, 0.0)
        if not target:
            raise ConfigError(
                "budget.exponents.target", got=f"none for {exponent.cost}, and no limit on it", expected="one of both"
            )
        return target

    def log_factor(self, architecture: Architecture) -> float:
        """Log of the product of (cost / target)^w over the exponents: what costs add to the log of the objective."""
        return math.fsum(e.log_factor(self.one(e.cost, architecture), self.target(e)) for e in self.exponents)
