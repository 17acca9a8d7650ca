"""Planted worlds: the truth they tell is the truth, it needs no future, and it is where it is said to be."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.data.candles import Candles
from tradenas.data.synthetic import KINDS, World, planted
from tradenas.data.synthetic.bars import bridge_extreme, columns
from tradenas.errors import ConfigError
from tradenas.features.targets import bar_returns

PLANTED = [kind for kind in KINDS if kind != "noise"]
SIGMA = 0.6 * (1 / (365 * 24)) ** 0.5  # of a 1h bar
_worlds: dict[tuple[str, int], World] = {}


def world_of(kind: str, seed: int = 0) -> World:
    """Full-size worlds are made once."""
    if (kind, seed) not in _worlds:
        _worlds[kind, seed] = planted(kind, seed=seed)
    return _worlds[kind, seed]


def standardised(candles: Candles) -> tuple[np.ndarray, np.ndarray]:
    """Moves in units of their expected volatility, and the expected variance of every bar and the one after."""
    move = np.log(candles.close / candles.open) / SIGMA
    variance = np.ones(len(move) + 1)
    for t in range(len(move)):
        variance[t + 1] = 0.02 + 0.06 * move[t] ** 2 + 0.92 * variance[t]
    return move / np.sqrt(variance[:-1]), variance


def averaged(x: np.ndarray, span: int, first: float) -> np.ndarray:
    """Exponential average by its closed form: entry t has seen x up to t."""
    keep = 1 - 2 / (span + 1)
    steps = np.arange(len(x))
    weights = np.where(steps[:, None] >= steps[None], keep ** np.maximum(steps[:, None] - steps[None], 0), 0.0)
    return (1 - keep) * weights @ x + keep ** (steps + 1) * first


def independent_mean(kind: str, candles: Candles, others: tuple[Candles, ...], strength: float = 0.08) -> np.ndarray:
    """The conditional mean from candles alone, written apart from the generator and without its state machines."""
    z, variance = standardised(candles)
    s = np.zeros(len(z))
    if kind == "momentum":
        s = averaged(z, 12, 0.0) / 0.32
    elif kind == "reversal":
        s = -z
    elif kind == "motif":
        up = candles.close > candles.open
        s[2:] = ((up[:-2] & ~up[1:-1] & up[2:]) - 0.125) / np.sqrt(0.125 * 0.875)
    elif kind == "distant":
        s[37:] = z[:-37]
    elif kind == "gated":
        s = np.where(variance[:-1] < 0.81, z, -z)
    elif kind == "volume":
        level = np.log(candles.volume)
        before = np.concatenate([level[:1], averaged(level, 20, level[0])[:-1]])
        s = np.sign(candles.close - candles.open) * (level - before) / 0.575
    elif kind == "echo":
        level = np.log(candles.volume)
        before = np.concatenate([level[:1], averaged(level, 20, level[0])[:-1]])
        s[17:] = ((level - before) / 0.575)[:-17]
    elif kind == "lead_lag":
        s[2:] = standardised(others[0])[0][:-2]
    return strength * np.clip(s, -3, 3) * SIGMA * np.sqrt(variance[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_is_known_from_closed_candles_at_every_cut(kind: str) -> None:
    world = planted(kind, bars=900, seed=5)
    for cut in (1, 2, 3, 4, 36, 37, 38, 39, 40, *range(41, 900, 61), 897, 898, 899, 900):
        seen = independent_mean(kind, world.candles[:cut], tuple(other[:cut] for other in world.others))
        np.testing.assert_allclose(world.expected_T[:cut], seen, rtol=0, atol=1e-12 + 1e-9 * SIGMA)


@pytest.mark.parametrize("kind", KINDS)
def test_a_shorter_world_is_a_prefix_of_a_longer_one(kind: str) -> None:
    short, long = planted(kind, bars=300, seed=2), planted(kind, bars=700, seed=2)
    assert short.candles.equals(long.candles[:300])
    assert short.expected_T.tolist() == long.expected_T[:300].tolist()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", PLANTED)
def test_the_mean_is_the_mean(kind: str, seed: int) -> None:
    """Regress what came on what was expected: slope 1, no constant, the correlation that was asked for."""
    world = world_of(kind, seed)
    x, y = world.expected_T[:-2], world.realised_T[:-2]
    slope, constant = np.polyfit(x, y, 1)
    left = y - slope * x - constant
    error = np.sqrt(((x - x.mean()) ** 2 * left**2).sum()) / ((x - x.mean()) ** 2).sum()  # White's
    assert abs(slope - 1) < 4 * error
    assert error < 0.2
    assert abs(constant) < 4 * y.std() / len(y) ** 0.5
    assert 0.05 < world.oracle_ic < 0.115
    assert world.oracle_ic == pytest.approx(np.corrcoef(x, y)[0, 1])


@pytest.mark.parametrize("kind", PLANTED)
def test_a_shuffled_mean_and_a_late_mean_find_nothing(kind: str) -> None:
    world = world_of(kind)
    shuffled = np.random.default_rng(0).permutation(world.expected_T)
    assert abs(world.ic(shuffled)) < 5 / len(shuffled) ** 0.5
    aligned = [
        abs(np.corrcoef(world.expected_T[100:-100], world.realised_T[100 + k : -100 + k])[0, 1]) for k in (0, 1, 2)
    ]
    if kind != "momentum":  # whose average changes slowly
        assert aligned[0] > 2 * max(aligned[1:])


def test_noise_has_nothing() -> None:
    world = world_of("noise")
    assert world.oracle_ic == 0.0
    assert not world.expected_T.any()
    past = np.stack([np.roll(world.realised_T, k) for k in range(2, 12)], axis=1)[20:-2]
    fitted = past @ np.linalg.lstsq(past, world.realised_T[20:-2], rcond=None)[0]
    assert np.corrcoef(fitted, world.realised_T[20:-2])[0, 1] < 0.04


@pytest.mark.parametrize("kind", KINDS)
def test_the_return_is_the_one_that_a_decision_earns(kind: str) -> None:
    world = world_of(kind)
    candles = world.candles
    assert candles.open[1:].tolist() == candles.close[:-1].tolist()
    np.testing.assert_allclose(np.log1p(bar_returns(candles, delay=1)), world.realised_T, rtol=0, atol=1e-14)
    np.testing.assert_allclose(world.realised_T[:-2], np.log(candles.close[1:-1] / candles.close[:-2]), atol=1e-14)
    assert np.isnan(world.realised_T[-2:]).all()
    assert np.isfinite(world.expected_T).all()


@pytest.mark.parametrize("kind", KINDS)
def test_candles_are_coherent_and_look_like_a_market(kind: str) -> None:
    world = world_of(kind)
    for candles in (world.candles, *world.others):
        rebuilt = Candles.from_arrays(
            symbol=candles.symbol,
            open_time=candles.open_time,
            open=candles.open,
            high=candles.high,
            low=candles.low,
            close=candles.close,
            volume=candles.volume,
            turnover=candles.turnover,
        )
        assert rebuilt.equals(candles)
        assert (rebuilt.calendar, rebuilt.interval_ms) == ("24/7", 3_600_000)
        assert not candles.gap_before.any()
        move = np.log(candles.close / candles.open)
        size = np.abs(move)
        assert 0.9 * SIGMA < move.std() < 1.15 * SIGMA
        assert ((move / move.std()) ** 4).mean() > 4.5
        assert np.corrcoef(size[20:], size[:-20])[0, 1] > 0.05
        assert np.corrcoef(np.log(candles.volume), size)[0, 1] > 0.3
        assert (candles.high > np.maximum(candles.open, candles.close)).mean() > 0.9
        spread = np.log(candles.high / candles.low)
        assert 1.5 < spread.mean() / size.mean() < 2.6  # 2 for Brownian motion


def linear_share(world: World, columns: list[np.ndarray]) -> float:
    """Share of the oracle's correlation that a linear fit on the first half finds in the second."""
    x, y = np.column_stack([*columns, np.ones(len(columns[0]))]), world.realised_T
    weights = np.linalg.lstsq(x[100:15_000], y[100:15_000], rcond=None)[0]
    rows = slice(15_000, -2)
    oracle = np.corrcoef(world.expected_T[rows], y[rows])[0, 1]
    return float(np.corrcoef(x[rows] @ weights, y[rows])[0, 1] / oracle)


def test_each_signal_is_where_it_is_said_to_be() -> None:
    z = {kind: standardised(world_of(kind).candles)[0] for kind in PLANTED}
    near = {kind: linear_share(world_of(kind), [np.roll(z[kind], lag) for lag in range(20)]) for kind in PLANTED}
    assert near["momentum"] > 0.75
    assert linear_share(world_of("reversal"), [z["reversal"]]) > 0.85
    assert max(near["distant"], near["gated"], near["lead_lag"]) < 0.3  # noise: about 0.1 either way
    assert max(near["motif"], near["volume"]) < 0.7
    assert linear_share(world_of("distant"), [np.roll(z["distant"], 37)]) > 0.85
    assert linear_share(world_of("distant"), [np.roll(z["distant"], 36), np.roll(z["distant"], 38)]) < 0.3
    follower = world_of("lead_lag")
    (leader,) = follower.others
    lead = standardised(leader)[0]
    assert linear_share(follower, [np.roll(lead, 2)]) > 0.85
    backwards = np.corrcoef(np.roll(z["lead_lag"], 2)[100:-2], leader_returns(leader)[100:-2])[0, 1]
    assert abs(backwards) < 0.03


def leader_returns(leader: Candles) -> np.ndarray:
    return np.log1p(bar_returns(leader, delay=1))


def test_strength_scales_the_ic() -> None:
    for kind in PLANTED:
        weak, strong = planted(kind, bars=8_000, strength=0.05), planted(kind, bars=8_000, strength=0.2)
        assert 0.01 < weak.oracle_ic < 0.10
        assert 0.16 < strong.oracle_ic < (0.34 if kind == "momentum" else 0.25)  # momentum feeds on itself
        assert strong.strength == 0.2


def test_seeds_and_kinds_are_independent_and_repeatable() -> None:
    a, b = planted("reversal", bars=3_000), planted("reversal", bars=3_000)
    assert a.candles.equals(b.candles)
    for other in (planted("reversal", bars=3_000, seed=1), planted("distant", bars=3_000)):
        assert abs(np.corrcoef(a.realised_T[:-2], other.realised_T[:-2])[0, 1]) < 0.1
    pair = planted("lead_lag", bars=3_000)
    assert abs(np.corrcoef(pair.realised_T[:-2], leader_returns(pair.others[0])[:-2])[0, 1]) < 0.1


@pytest.mark.parametrize("interval_ms", [60_000, 900_000, 86_400_000])
def test_annual_volatility_does_not_depend_on_the_bar(interval_ms: int) -> None:
    candles = planted("noise", bars=5_000, interval_ms=interval_ms).candles
    assert candles.interval_ms == interval_ms
    annual = np.log(candles.close / candles.open).std() * candles.bars_per_year**0.5
    assert 0.5 < annual < 0.7


def test_highs_follow_the_law_of_the_bridge() -> None:
    rng = np.random.default_rng(3)
    steps = rng.standard_normal((4_000, 1_000)) * (0.01 / 1_000**0.5)
    walk = np.cumsum(steps, axis=1)
    end = 0.004
    bridge = walk + np.linspace(1 / 1_000, 1, 1_000) * (end - walk[:, -1:])
    drawn = bridge_extreme(rng.random(4_000), np.full(4_000, end), np.full(4_000, 0.01))
    discrete = 0.5826 * 0.01 / 1_000**0.5  # a walk misses the top by this much (Broadie, Glasserman & Kou 1997)
    for quantile in (0.1, 0.5, 0.9):
        assert np.quantile(drawn, quantile) == pytest.approx(
            np.quantile(bridge.max(axis=1), quantile) + discrete, abs=3e-4
        )
    assert (drawn >= end).all()


def test_rounding_never_puts_a_price_outside_its_bar() -> None:
    class Zeros:
        """Chance at its edge: the bar goes no further than its ends."""

        def random(self, size: int) -> np.ndarray:
            return np.zeros(size)

    move = np.random.default_rng(0).standard_normal(2_000) * 0.01
    made = columns(Zeros(), Zeros(), move_T=move, sigma_T=np.full(2_000, 0.01), log_volume_T=np.zeros(2_000))  # type: ignore[arg-type]
    for price in (made["open"], made["close"]):
        assert (made["high"] >= price).all()
        assert (made["low"] <= price).all()


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'reversal'"):
        planted("reversals")
    with pytest.raises(ConfigError, match="bars"):
        planted("noise", bars=99)
    with pytest.raises(ConfigError, match="bars"):
        planted("noise", bars=1e4)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="interval_ms"):
        planted("noise", interval_ms=0)
    with pytest.raises(ConfigError, match="nothing in noise"):
        planted("noise", strength=0.1)
    for strength in (0.0, -0.1, 0.31, float("nan")):
        with pytest.raises(ConfigError, match="strength"):
            planted("momentum", strength=strength)
    with pytest.raises(ConfigError, match=r"World\.ic"):
        planted("noise", bars=100).ic(np.zeros(99))
