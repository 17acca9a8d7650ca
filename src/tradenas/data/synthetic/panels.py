"""Several markets of which some go ahead of the others: who leads, by how many bars, and the best forecast of each."""

from __future__ import annotations

from dataclasses import dataclass

from tradenas.data.candles import Candles
from tradenas.data.synthetic.signals import LEAD_BARS, Lagging, Noise, Signal
from tradenas.data.synthetic.worlds import Market, World, checked
from tradenas.errors import ConfigError
from tradenas.registry import did_you_mean
from tradenas.seeds import rng_for

__all__ = ["PANELS", "PlantedPanel", "planted_panel"]

PANELS = ("leader",)


@dataclass(frozen=True, eq=False, kw_only=True)
class PlantedPanel:
    """Markets on one time axis and the truth about each.

    Attributes:
        worlds: each market with its conditional mean given the closed candles of all; a leader's is 0.
        leader_of: for each market the place of the one that it follows; None for one that leads.
        lag: bar t + 1 of a follower leans as bar t + 1 - lag of its leader moved.
    """

    worlds: tuple[World, ...]
    leader_of: tuple[int | None, ...]
    lag: int

    @property
    def candles(self) -> tuple[Candles, ...]:
        """The markets to trade."""
        return tuple(world.candles for world in self.worlds)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(candles.symbol for candles in self.candles)


def planted_panel(
    kind: str = "leader",
    *,
    assets: int = 4,
    leaders: int = 1,
    lag: int = LEAD_BARS,
    bars: int = 30_000,
    seed: int = 0,
    strength: float | None = None,
    interval_ms: int = 3_600_000,
) -> PlantedPanel:
    """Markets of which the first to move say how the others lean; nothing else forecasts anything.

    Each market is noise like that of `planted` but for its leader's part.  A shorter panel is a prefix of a longer one
    with the same seed.  Who leads, and who follows whom where several lead, is drawn.

    Args:
        kind: `leader`.
        assets: markets, two or more.
        leaders: how many of them lead; each of the others follows one.
        lag: bars from a leader's move to a follower's.
        bars, seed, strength, interval_ms: as for `planted`; the strength is that of each follower.

    Raises:
        ConfigError: an unknown kind, or a number out of range.

    >>> panel = planted_panel(assets=3, bars=4_000, seed=1)
    >>> panel.leader_of, [round(world.oracle_ic, 2) for world in panel.worlds]
    ((None, 0, 0), [0.0, 0.09, 0.1])
    """
    if kind not in PANELS:
        raise ConfigError("planted_panel.kind", got=kind, expected="a panel", fix=did_you_mean(kind, list(PANELS)))
    for name, number, least, most in (
        ("assets", assets, 2, 100),
        ("leaders", leaders, 1, assets - 1),
        ("lag", lag, 1, bars),
    ):
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise ConfigError(f"planted_panel.{name}", got=number, expected=f"a whole number from {least} to {most}")
    strength = checked(kind, bars, strength, interval_ms)
    rng = rng_for(seed, "planted", kind, "who")
    order = rng.permutation(assets).tolist()
    first = order[:leaders]
    follows = {a: None if a in first else first[int(rng.integers(leaders))] for a in range(assets)}
    made: dict[int, tuple[Market, World]] = {}
    for a in order:  # leaders first
        market = Market(kind=kind, role=f"asset {a}", bars=bars, seed=seed, interval_ms=interval_ms)
        ahead = follows[a]
        signal: Signal = Noise() if ahead is None else Lagging(made[ahead][0].z_T, lag)
        made[a] = market, market.world(signal, strength, symbol=f"PLANTED-{kind.upper()}-{a}")
    return PlantedPanel(
        worlds=tuple(made[a][1] for a in range(assets)),
        leader_of=tuple(follows[a] for a in range(assets)),
        lag=lag,
    )
