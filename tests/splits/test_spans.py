"""Spans refuse nonsense; the kinds of zone are not interchangeable; the vault's zone gives no rows."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.errors import ConfigError, VaultError
from tradenas.splits import SearchZone, SelectionZone, Span, VaultZone


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 5), (6, 5), (0.0, 5), (0, True), ("0", 5), (None, 5)])
def test_a_span_refuses(start: object, stop: object) -> None:
    with pytest.raises(ConfigError):
        Span(start, stop)  # type: ignore[arg-type]


def test_a_span_takes_numpy_integers_and_stores_plain_ones() -> None:
    span = Span(np.int64(3), np.uint8(7))  # type: ignore[arg-type]
    assert (type(span.start), type(span.stop)) == (int, int)
    assert span == Span(3, 7)


def test_the_ways_to_read_a_span_agree() -> None:
    span, rows = Span(3, 10), np.arange(12)
    assert rows[span.slice].tolist() == list(span) == span.rows.tolist() == np.flatnonzero(span.mask(12)).tolist()
    assert len(span) == 7
    assert [row for block in span.blocks(3) for row in block] == list(span)
    assert 3 in span
    assert 10 not in span
    with pytest.raises(ConfigError, match="at least 10"):
        span.mask(9)


def test_within() -> None:
    assert Span(3, 10).within(Span(3, 10))
    assert not Span(2, 10).within(Span(3, 10))
    assert not Span(3, 11).within(Span(3, 10))


def test_zones_are_types() -> None:
    assert SearchZone(0, 5) != SelectionZone(0, 5)
    assert SearchZone(0, 5) != Span(0, 5)
    assert isinstance(SearchZone(0, 5), Span)
    assert len({SearchZone(0, 5), SelectionZone(0, 5), SearchZone(0, 5)}) == 2


@pytest.mark.parametrize(
    "read",
    [
        lambda zone: zone.slice,
        lambda zone: zone.rows,
        lambda zone: zone.mask(20),
        lambda zone: next(zone.blocks(2)),
        lambda zone: list(zone),
        lambda zone: zone.blocks(2),
    ],
)
def test_the_vault_zone_is_sealed(read) -> None:
    zone = VaultZone(5, 10)
    assert (zone.start, zone.stop, len(zone)) == (5, 10, 5)
    with pytest.raises(VaultError, match="sealed"):
        read(zone)
