"""Zones: disjoint, exactly purge + embargo apart, and no label or feature window of one touches another."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas.errors import ConfigError, LookaheadError
from tradenas.splits import SearchZone, SelectionZone, VaultZone, Zones, make_zones, make_zones_at

DAY = 86_400_000
few = settings(max_examples=60, derandomize=True, deadline=None)


@given(
    rows=st.integers(1, 3_000),
    horizon=st.integers(1, 20),
    delay=st.integers(1, 3),
    lookback=st.integers(0, 120),
    first_row=st.integers(0, 200),
    shares=st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8)),
)
@few
def test_no_label_and_no_window_meets_the_next_zone(
    rows: int, horizon: int, delay: int, lookback: int, first_row: int, shares: tuple[int, int, int]
) -> None:
    fractions = tuple(share / sum(shares) for share in shares)
    purge = horizon + delay
    try:
        zones = make_zones(
            rows,
            fractions=fractions,
            purge=purge,
            embargo=lookback,
            first_row=first_row,
            min_rows=10,  # type: ignore[arg-type]
        )
    except ConfigError:
        left = rows - first_row - 2 * (purge + lookback)
        assert int(left * min(fractions) + 1e-9) < 10
        return
    spans = (zones.search, zones.selection, zones.vault)
    assert zones.search.start == first_row
    assert zones.vault.stop == rows
    assert all(len(span) >= 10 for span in spans)
    for before, after in ((spans[0], spans[1]), (spans[1], spans[2])):
        assert after.start - before.stop == purge + lookback
        last_label = before.stop - 1 + horizon + delay
        assert last_label < after.start
        if lookback:
            assert after.start - lookback + 1 > last_label
    left = rows - first_row - 2 * (purge + lookback)
    for span, share in zip(spans, fractions, strict=True):
        assert abs(len(span) - left * share) < 2
    zones.require(horizon=horizon, delay=delay, lookback=lookback)


def test_a_gap_one_row_short_is_refused() -> None:
    def zones(selection: int, vault: int) -> Zones:
        return Zones(
            search=SearchZone(0, 100),
            selection=SelectionZone(selection, 200),
            vault=VaultZone(vault, 300),
            purge=2,
            embargo=8,
        )

    assert zones(110, 210).vault.start == 210
    with pytest.raises(LookaheadError, match="9 rows between SearchZone"):
        zones(109, 210)
    with pytest.raises(LookaheadError, match="9 rows between SelectionZone"):
        zones(110, 209)


def test_zones_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(LookaheadError):
        Zones(
            search=SearchZone(500, 600), selection=SelectionZone(0, 99), vault=VaultZone(700, 800), purge=2, embargo=0
        )


def test_zones_are_told_apart_by_type() -> None:
    with pytest.raises(ConfigError, match=r"Zones\.search"):
        Zones(
            search=SelectionZone(0, 100),  # type: ignore[arg-type]
            selection=SelectionZone(110, 200),
            vault=VaultZone(210, 300),
            purge=2,
            embargo=8,
        )


@pytest.mark.parametrize("purge", [0, 1])
def test_a_purge_below_horizon_and_delay_is_refused(purge: int) -> None:
    with pytest.raises(LookaheadError, match="at least 2"):
        make_zones(1_000, purge=purge, embargo=10)


@pytest.mark.parametrize("fractions", [(0.6, 0.2, 0.3), (0.6, 0.4, 0.0), (1.2, -0.1, -0.1), (0.5, 0.5)])
def test_fractions_must_be_shares(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="fractions"):
        make_zones(1_000, fractions=fractions, purge=2, embargo=10)  # type: ignore[arg-type]


@pytest.mark.parametrize(("horizon", "delay", "lookback"), [(2, 1, 8), (1, 2, 8), (1, 1, 9)])
def test_require_finds_one_bar_too_few(horizon: int, delay: int, lookback: int) -> None:
    zones = make_zones(1_000, purge=2, embargo=8)
    zones.require(horizon=1, delay=1, lookback=8)
    with pytest.raises(LookaheadError):
        zones.require(horizon=horizon, delay=delay, lookback=lookback)


@pytest.mark.parametrize(
    ("named", "first", "second"), [("search", 99, 200), ("selection", 120, 179), ("vault", 120, 251)]
)
def test_a_zone_that_is_one_row_too_small_is_named(named: str, first: int, second: int) -> None:
    with pytest.raises(ConfigError, match=f"{named} zone: got 49 rows"):
        make_zones_at(np.arange(300) * DAY, (first * DAY, second * DAY), purge=2, embargo=8, first_row=40)
    with pytest.raises(ConfigError, match="search zone"):
        make_zones(300, fractions=(0.1, 0.4, 0.5), purge=2, embargo=8)


def test_by_dates_on_a_calendar_with_holes() -> None:
    day = np.arange(1_000)
    open_time = (day[day % 7 < 5] * DAY).astype(np.int64)
    boundaries = (405 * DAY, 700 * DAY)  # day 405 is a Saturday here: selection begins on the Monday after
    zones = make_zones_at(open_time, boundaries, purge=3, embargo=20, first_row=30)
    assert open_time[zones.selection.start] == 406 * DAY
    assert open_time[zones.vault.start] == 700 * DAY
    assert zones.selection.start - zones.search.stop == zones.vault.start - zones.selection.stop == 23
    assert zones.search.start == 30
    assert zones.vault.stop == len(open_time)


@pytest.mark.parametrize("boundaries", [(5 * DAY, 5 * DAY), (200 * DAY, 100 * DAY), (100 * DAY,)])
def test_boundaries_must_be_two_in_order(boundaries: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="boundaries"):
        make_zones_at(np.arange(500) * DAY, boundaries, purge=2, embargo=8)  # type: ignore[arg-type]


def test_open_time_must_increase() -> None:
    with pytest.raises(ConfigError, match="open_time"):
        make_zones_at(np.zeros(500, np.int64), (1, 2), purge=2, embargo=8)
    with pytest.raises(ConfigError, match="open_time"):
        make_zones_at(np.arange(500.0), (100, 200), purge=2, embargo=8)  # type: ignore[arg-type]


def test_described_and_read_back() -> None:
    open_time = 1_000 * DAY + np.arange(1_000, dtype=np.int64) * DAY
    zones = make_zones(1_000, purge=2, embargo=8)
    told = json.loads(json.dumps(zones.describe(open_time, DAY)))
    assert told["search"] == {"start": 0, "stop": 588, "from_ms": 1_000 * DAY, "to_ms": 1_588 * DAY}
    assert told["vault"]["to_ms"] == 2_000 * DAY
    assert Zones.from_description(told) == zones
    with pytest.raises(ConfigError):
        zones.describe(open_time[:-1], DAY)
    del told["selection"]
    with pytest.raises(ConfigError, match="selection"):
        Zones.from_description(told)
