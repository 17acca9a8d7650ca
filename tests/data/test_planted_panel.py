"""Planted panels: who leads, by how many bars, and the truth about each market."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.data.sources import open_source
from tradenas.data.synthetic import planted_panel
from tradenas.errors import ConfigError

SIGMA = 0.6 * (1 / (365 * 24)) ** 0.5  # of a 1h bar


def moves(candles):
    """Log returns in units of their expected volatility, and that of the bar after each."""
    move = np.log(candles.close / candles.open) / SIGMA
    variance = np.ones(len(move) + 1)
    for t in range(len(move)):
        variance[t + 1] = 0.02 + 0.06 * move[t] ** 2 + 0.92 * variance[t]
    return move / np.sqrt(variance[:-1]), np.sqrt(variance[1:])


@pytest.mark.parametrize(("assets", "leaders", "lag"), [(2, 1, 1), (4, 1, 3), (5, 2, 6)])
def test_every_mean_is_known_from_closed_candles_of_its_leader(assets, leaders, lag):
    panel = planted_panel(assets=assets, leaders=leaders, lag=lag, bars=700, seed=3, strength=0.2)
    assert len(panel.worlds) == len(set(panel.symbols)) == assets
    assert sum(leader is None for leader in panel.leader_of) == leaders
    for leader, world in zip(panel.leader_of, panel.worlds, strict=True):
        if leader is None:
            assert not world.expected_T.any()
            continue
        assert panel.leader_of[leader] is None
        seen = np.zeros(700)
        seen[lag - 1 :] = moves(panel.candles[leader])[0][: 700 - lag + 1]
        expected = 0.2 * np.clip(seen, -3, 3) * SIGMA * moves(world.candles)[1]
        np.testing.assert_allclose(world.expected_T, expected, rtol=0, atol=1e-12 + 1e-9 * SIGMA)


def test_the_lag_and_the_leader_are_where_they_are_said_to_be():
    panel = planted_panel(assets=4, lag=2, bars=8_000, seed=1, strength=0.2)
    z = [moves(candles)[0] for candles in panel.candles]
    for a, leader in enumerate(panel.leader_of):
        for b in range(4):
            for lag in (1, 2, 3):
                found = np.corrcoef(z[b][:-lag], z[a][lag:])[0, 1]
                assert (found > 0.15) if (b, lag) == (leader, 2) else (abs(found) < 0.05)
    assert [world.oracle_ic > 0.15 for world in panel.worlds] == [leader is not None for leader in panel.leader_of]


def test_prefixes_and_seeds():
    short, long = planted_panel(bars=300, seed=2), planted_panel(bars=500, seed=2)
    assert short.leader_of == long.leader_of
    assert all(a.equals(b[:300]) for a, b in zip(short.candles, long.candles, strict=True))
    assert {planted_panel(bars=100, seed=seed).leader_of.index(None) for seed in range(12)} == {0, 1, 2, 3}


def test_a_study_finds_them_by_their_symbols():
    panel = planted_panel(bars=300, seed=2)
    for symbol, candles in zip(panel.symbols, panel.candles, strict=True):
        assert open_source("planted:leader", symbol=symbol, bars=300, seed=2)[0].equals(candles)
    with pytest.raises(ConfigError, match="PLANTED-LEADER-0"):
        open_source("planted:leader", bars=300)


def test_refusals():
    for name, wrong in (("assets", 1), ("assets", 2.0), ("leaders", 4), ("leaders", 0), ("lag", 0), ("lag", True)):
        with pytest.raises(ConfigError, match=f"planted_panel.{name}"):
            planted_panel(**{name: wrong})
    with pytest.raises(ConfigError, match=r"planted_panel\.kind"):
        planted_panel("lead")
    with pytest.raises(ConfigError, match="strength"):
        planted_panel(strength=0.5)
