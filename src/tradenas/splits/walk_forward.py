"""Folds inside a zone: always learn from the past, with purge + embargo rows before what is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tradenas.errors import ConfigError, LookaheadError, VaultError
from tradenas.splits.spans import OpenedVault, Span, VaultZone, whole
from tradenas.splits.zones import row_gap

__all__ = ["Fold", "holdout", "no_vault", "require_gap", "walk_forward"]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Rows to learn from and later rows to be judged on.

    Raises:
        LookaheadError: `train` does not end before `valid` begins.

    >>> Fold(train=Span(0, 90), valid=Span(100, 120)).gap
    10
    """

    train: Span
    valid: Span

    def __post_init__(self) -> None:
        if self.train.stop > self.valid.start:
            raise LookaheadError(
                "Fold",
                got=f"train {self.train} and valid {self.valid}",
                expected="train to end before valid begins",
                fix="make folds with walk_forward or holdout",
            )

    @property
    def gap(self) -> int:
        """Rows left out between the two."""
        return self.valid.start - self.train.stop


def require_gap(fold: Fold, *, purge: int, embargo: int, place: str = "Fold") -> None:
    """Check that a fold leaves out purge + embargo rows.

    Raises:
        LookaheadError: by how many rows it falls short.
    """
    gap = row_gap(purge, embargo)
    if fold.gap < gap:
        raise LookaheadError(
            place,
            got=f"{fold.gap} rows between {fold.train} and {fold.valid}",
            expected=f"at least {gap} (purge {purge} + embargo {embargo})",
            fix=f"end train {gap - fold.gap} rows earlier",
        )


def walk_forward(
    zone: Span,
    *,
    folds: int,
    purge: int,
    embargo: int,
    mode: Literal["expanding", "rolling"] = "expanding",
    min_train: int | None = None,
) -> tuple[Fold, ...]:
    """Fit, judge the next block, move on: the judged blocks are equal, touch each other and end with the zone.

    Args:
        zone: rows to use; never the vault.
        folds: number of judged blocks.
        purge: label horizon + entry delay, in rows.
        embargo: at least the lookback, in rows.
        mode: `expanding` learns from all rows since the zone began, `rolling` from as many as the first fold does.
        min_train: least rows to learn from; None takes as many as one judged block.

    Raises:
        ConfigError: the zone is too small, or an unknown mode.
        LookaheadError: a purge below 2.
        VaultError: the zone is the vault.

    >>> for fold in walk_forward(Span(0, 100), folds=2, purge=2, embargo=8):
    ...     print(fold.train, fold.valid)
    Span(0, 30) Span(40, 70)
    Span(0, 60) Span(70, 100)
    """
    no_vault(zone, "walk_forward")
    folds, gap = whole(folds, "walk_forward.folds", least=1), row_gap(purge, embargo)
    if mode not in ("expanding", "rolling"):
        raise ConfigError("walk_forward.mode", got=mode, expected="'expanding' or 'rolling'")
    left = len(zone) - gap
    if min_train is None:
        size = left // (folds + 1)
    else:
        size = (left - whole(min_train, "walk_forward.min_train", least=1)) // folds
    if size < 1:
        wanted = folds + 1 if min_train is None else folds + min_train
        raise ConfigError(
            "walk_forward",
            got=f"{len(zone)} rows",
            expected=f"at least {gap + wanted} for {folds} folds and {gap} rows of purge + embargo",
            fix="use fewer folds, a shorter lookback or a larger zone",
        )
    first = left - folds * size
    made = []
    for index in range(folds):
        begin = zone.start + first + gap + index * size
        start = zone.start if mode == "expanding" else begin - gap - first
        made.append(Fold(train=Span(start, begin - gap), valid=Span(begin, begin + size)))
    return tuple(made)


def holdout(zone: Span, fraction: float, *, purge: int, embargo: int) -> Fold:
    """One fold: judge on the last `fraction` of the rows that are left after the gap.

    Raises:
        ConfigError: the fraction is not between 0 and 1, or a side would be empty.
        LookaheadError: a purge below 2.
        VaultError: the zone is the vault.

    >>> holdout(Span(0, 110), 0.2, purge=2, embargo=8)
    Fold(train=Span(0, 80), valid=Span(90, 110))
    """
    no_vault(zone, "holdout")
    gap = row_gap(purge, embargo)
    if not 0 < fraction < 1:
        raise ConfigError("holdout.fraction", got=fraction, expected="a share between 0 and 1")
    left = len(zone) - gap
    size = round(left * fraction)
    if size < 1 or left - size < 1:
        raise ConfigError(
            "holdout",
            got=f"{len(zone)} rows with {gap} left out",
            expected="rows on both sides",
            fix="use a larger zone or a shorter lookback",
        )
    return Fold(train=Span(zone.start, zone.stop - size - gap), valid=Span(zone.stop - size, zone.stop))


def no_vault(zone: Span, place: str) -> None:
    """Refuse the vault where rows are learned from.

    Raises:
        VaultError: the zone is the vault.
    """
    if isinstance(zone, (VaultZone, OpenedVault)):
        raise VaultError(
            place, got=zone, expected="the search or the selection zone", fix="the vault judges once; it has no folds"
        )
