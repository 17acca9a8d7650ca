"""Search, selection and vault: three zones in time that share no label and no feature bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tradenas.errors import ConfigError, LookaheadError
from tradenas.splits.spans import SearchZone, SelectionZone, Span, VaultZone, whole
from tradenas.typing import IntArray

__all__ = ["LEAST_PURGE", "Zones", "make_zones", "make_zones_at", "row_gap"]

LEAST_PURGE = 2  # one bar of horizon and one of entry delay: no honest label needs less


def row_gap(purge: int, embargo: int) -> int:
    """Rows that must lie unused between what is learned from and what comes after it: purge + embargo.

    Args:
        purge: label horizon + entry delay: the label of row t is known at row t + purge.
        embargo: at least the lookback of the models, so that no feature window reads a bar of an earlier label.

    Raises:
        LookaheadError: a purge below 2; every label has a horizon and a delay of at least one bar.
    """
    purge, embargo = whole(purge, "purge"), whole(embargo, "embargo")
    if purge < LEAST_PURGE:
        raise LookaheadError(
            "purge",
            got=purge,
            expected=f"at least {LEAST_PURGE} rows",
            fix="use label horizon + entry delay; both are at least one bar",
        )
    return purge + embargo


@dataclass(frozen=True, kw_only=True)
class Zones:
    """The three zones of a study; made by `make_zones` or `make_zones_at`.

    Attributes:
        search: train weights, train architecture parameters, rank.
        selection: retrain the best candidates beside the baselines, choose.
        vault: judge what was chosen, once.
        purge: label horizon + entry delay, in rows.
        embargo: rows beside it; at least the lookback.

    Raises:
        LookaheadError: two zones lie closer than purge + embargo rows.
    """

    search: SearchZone
    selection: SelectionZone
    vault: VaultZone
    purge: int
    embargo: int

    def __post_init__(self) -> None:
        for name, kind in (("search", SearchZone), ("selection", SelectionZone), ("vault", VaultZone)):
            if not isinstance(getattr(self, name), kind):
                raise ConfigError(f"Zones.{name}", got=getattr(self, name), expected=f"a {kind.__name__}")
        gap = row_gap(self.purge, self.embargo)
        pairs: tuple[tuple[Span, Span], ...] = ((self.search, self.selection), (self.selection, self.vault))
        for before, after in pairs:
            if after.start - before.stop < gap:
                raise LookaheadError(
                    "Zones",
                    got=f"{after.start - before.stop} rows between {before} and {after}",
                    expected=f"at least {gap} (purge {self.purge} + embargo {self.embargo})",
                    fix="use make_zones, which leaves them out",
                )

    def require(self, *, horizon: int, delay: int, lookback: int) -> None:
        """Check that these zones are wide enough apart for one label and one model.

        Args:
            horizon: bars a label looks ahead.
            delay: bars from decision to entry.
            lookback: bars the longest model window reads, feature warm-up included where features reach back.

        Raises:
            LookaheadError: purge < horizon + delay, or embargo < lookback.
        """
        if self.purge < horizon + delay:
            raise LookaheadError(
                "Zones.purge",
                got=self.purge,
                expected=f"at least horizon {horizon} + entry delay {delay}",
                fix=f"set purge to {horizon + delay} or more",
            )
        if self.embargo < lookback:
            raise LookaheadError(
                "Zones.embargo",
                got=self.embargo,
                expected=f"at least the lookback {lookback}",
                fix=f"set embargo to {lookback} or more",
            )

    def describe(self, open_time: IntArray, interval_ms: int) -> dict[str, Any]:
        """The zones as JSON, with the opening of their first candle and the close of their last in ms UTC."""
        if self.vault.stop > len(open_time):
            raise ConfigError("Zones.describe", got=f"{len(open_time)} rows", expected=f"at least {self.vault.stop}")
        told: dict[str, Any] = {
            name: {
                "start": zone.start,
                "stop": zone.stop,
                "from_ms": int(open_time[zone.start]),
                "to_ms": int(open_time[zone.stop - 1]) + interval_ms,
            }
            for name, zone in (("search", self.search), ("selection", self.selection), ("vault", self.vault))
        }
        return {**told, "purge": self.purge, "embargo": self.embargo}

    @classmethod
    def from_description(cls, told: Mapping[str, Any]) -> Self:
        """The zones that `describe` wrote down.

        Raises:
            ConfigError: a key is missing.
        """
        try:
            spans = {name: (told[name]["start"], told[name]["stop"]) for name in ("search", "selection", "vault")}
            purge, embargo = told["purge"], told["embargo"]
        except (KeyError, TypeError) as error:
            raise ConfigError("zones", got=f"no {error}", expected="what Zones.describe wrote") from None
        return cls(
            search=SearchZone(*spans["search"]),
            selection=SelectionZone(*spans["selection"]),
            vault=VaultZone(*spans["vault"]),
            purge=purge,
            embargo=embargo,
        )


def make_zones(
    rows: int,
    *,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    purge: int,
    embargo: int,
    first_row: int = 0,
    min_rows: int = 50,
) -> Zones:
    """Cut a series into search, selection and vault, with purge + embargo rows left out between them.

    Args:
        rows: rows of the series.
        fractions: shares of the rows that are left after the two gaps; they add up to 1.
        purge: label horizon + entry delay, in rows.
        embargo: at least the lookback, in rows.
        first_row: first row that may be used: rows before it are warm-up.
        min_rows: a zone with fewer is an error.

    Raises:
        ConfigError: fractions that are not shares, or a zone that would be too small.
        LookaheadError: a purge below 2.

    >>> zones = make_zones(1_000, purge=2, embargo=48, first_row=100)
    >>> zones.search, zones.selection, zones.vault
    (SearchZone(100, 580), SelectionZone(630, 790), VaultZone(840, 1000))
    """
    rows, first_row = whole(rows, "rows"), whole(first_row, "first_row")
    gap, min_rows = row_gap(purge, embargo), whole(min_rows, "min_rows", least=1)
    if len(fractions) != 3 or not all(0 < share < 1 for share in fractions) or not math.isclose(sum(fractions), 1.0):
        raise ConfigError("fractions", got=fractions, expected="three positive shares that add up to 1")
    left = rows - first_row - 2 * gap
    sizes = [int(left * share + 1e-9) for share in fractions[:2]]
    sizes.append(left - sum(sizes))
    if min(sizes) < min_rows:
        _too_small(dict(zip(("search", "selection", "vault"), sizes, strict=True)), min_rows, gap)
    selection = first_row + sizes[0] + gap
    vault = selection + sizes[1] + gap
    return Zones(
        search=SearchZone(first_row, first_row + sizes[0]),
        selection=SelectionZone(selection, selection + sizes[1]),
        vault=VaultZone(vault, rows),
        purge=purge,
        embargo=embargo,
    )


def make_zones_at(
    open_time: IntArray,
    boundaries: tuple[int, int],
    *,
    purge: int,
    embargo: int,
    first_row: int = 0,
    min_rows: int = 50,
) -> Zones:
    """Cut a series at two dates: selection and vault begin with the first candle that opens on or after theirs.

    The gap of purge + embargo rows is taken from the zone before each date.

    Args:
        open_time: ms UTC at which each candle opens, strictly increasing.
        boundaries: ms UTC where selection and vault begin.
        purge: label horizon + entry delay, in rows.
        embargo: at least the lookback, in rows.
        first_row: first row that may be used: rows before it are warm-up.
        min_rows: a zone with fewer is an error.

    Raises:
        ConfigError: boundaries out of order, or a zone that would be too small.
        LookaheadError: a purge below 2.

    >>> day = 86_400_000
    >>> make_zones_at(np.arange(300) * day, (120 * day, 200 * day), purge=2, embargo=8).selection
    SelectionZone(120, 190)
    """
    gap, min_rows = row_gap(purge, embargo), whole(min_rows, "min_rows", least=1)
    first_row = whole(first_row, "first_row")
    stamps = np.asarray(open_time)
    if stamps.ndim != 1 or stamps.dtype.kind not in "iu" or (np.diff(stamps) <= 0).any():
        raise ConfigError("open_time", got=f"{stamps.dtype} {stamps.shape}", expected="increasing int64 milliseconds")
    if len(boundaries) != 2 or not boundaries[0] < boundaries[1]:
        raise ConfigError("boundaries", got=boundaries, expected="two times in ms UTC, the earlier one first")
    selection, vault = (int(row) for row in np.searchsorted(stamps, np.asarray(boundaries), side="left"))
    sizes = {
        "search": selection - gap - first_row,
        "selection": vault - gap - selection,
        "vault": len(stamps) - vault,
    }
    if min(sizes.values()) < min_rows:
        _too_small(sizes, min_rows, gap)
    return Zones(
        search=SearchZone(first_row, selection - gap),
        selection=SelectionZone(selection, vault - gap),
        vault=VaultZone(vault, len(stamps)),
        purge=purge,
        embargo=embargo,
    )


def _too_small(sizes: dict[str, int], min_rows: int, gap: int) -> None:
    name = min(sizes, key=lambda zone: sizes[zone])
    raise ConfigError(
        f"{name} zone",
        got=f"{max(sizes[name], 0)} rows",
        expected=f"at least {min_rows}, with {gap} rows (purge + embargo) left out before selection and before vault",
        fix="bring more candles, a shorter lookback, or other boundaries",
    )
