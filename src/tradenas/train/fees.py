"""What trading costs: fees and slippage in basis points, and presets by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradenas.errors import ConfigError
from tradenas.registry import did_you_mean

__all__ = ["COSTS", "Costs", "costs_named", "perpetual"]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What one unit of turnover costs.

    Attributes:
        taker_bps: exchange fee of one side, in basis points of the traded value.
        slippage_bps: distance of the fill from the price the backtest assumes, in basis points.

    >>> f"{Costs().rate:.2e}"
    '6.50e-04'
    """

    taker_bps: float = 5.5
    slippage_bps: float = 1.0

    def __post_init__(self) -> None:
        for name in ("taker_bps", "slippage_bps"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ConfigError(f"Costs.{name}", got=value, expected="a finite number of basis points, 0 or more")

    @property
    def rate(self) -> float:
        """Cost of one unit of turnover, as a fraction of capital: a round trip turns over two."""
        return (self.taker_bps + self.slippage_bps) * 1e-4

    @property
    def brand(self) -> str | None:
        """What must be printed on every page that shows a result under these costs, if anything."""
        return "COSTS IGNORED: no strategy trades for free" if self.rate == 0 else None


COSTS: dict[str, Costs] = {
    "bybit_perp_taker": Costs(taker_bps=5.5, slippage_bps=1.0),
    "bybit_perp_maker": Costs(taker_bps=2.0, slippage_bps=0.0),  # assumes that every resting order is filled
    "bybit_spot": Costs(taker_bps=10.0, slippage_bps=1.0),
    "equities_low": Costs(taker_bps=0.5, slippage_bps=1.0),
    "none": Costs(taker_bps=0.0, slippage_bps=0.0),
}
"""Cost presets by name: VIP 0 fees of Bybit as of May 2026, a cheap stock broker, and nothing at all."""


def perpetual(costs: Costs) -> bool:
    """Whether these are the fees of a perpetual, on which funding is paid besides.

    >>> perpetual(COSTS["bybit_perp_maker"]), perpetual(COSTS["bybit_spot"])
    (True, False)
    """
    return any(costs == preset for name, preset in COSTS.items() if "_perp_" in name)


def costs_named(name: str) -> Costs:
    """A preset of `COSTS`.

    Raises:
        ConfigError: no such preset.

    >>> costs_named("none").brand
    'COSTS IGNORED: no strategy trades for free'
    """
    if name not in COSTS:
        raise ConfigError("costs", got=repr(name), expected="a cost preset", fix=did_you_mean(name, list(COSTS)))
    return COSTS[name]
