"""Folds: the past teaches, a gap follows, the future judges once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas.errors import ConfigError, LookaheadError, VaultError
from tradenas.splits import Fold, SearchZone, Span, VaultZone, holdout, require_gap, walk_forward
from tradenas.splits.spans import OpenedVault


@given(
    start=st.integers(0, 500),
    rows=st.integers(1, 2_000),
    folds=st.integers(1, 12),
    purge=st.integers(2, 20),
    embargo=st.integers(0, 100),
    mode=st.sampled_from(["expanding", "rolling"]),
    min_train=st.none() | st.integers(1, 400),
)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_walk_forward(
    start: int, rows: int, folds: int, purge: int, embargo: int, mode: str, min_train: int | None
) -> None:
    zone = SearchZone(start, start + rows)
    needed = purge + embargo + folds + (1 if min_train is None else min_train)
    if rows < needed:
        with pytest.raises(ConfigError, match=f"at least {needed}"):
            walk_forward(zone, folds=folds, purge=purge, embargo=embargo, mode=mode, min_train=min_train)  # type: ignore[arg-type]
        return
    made = walk_forward(zone, folds=folds, purge=purge, embargo=embargo, mode=mode, min_train=min_train)  # type: ignore[arg-type]
    assert len(made) == folds
    assert made[-1].valid.stop == zone.stop
    assert len({len(fold.valid) for fold in made}) == 1
    for before, after in pairwise(made):
        assert before.valid.stop == after.valid.start
    for fold in made:
        assert fold.train.within(zone)
        assert fold.valid.start - fold.train.stop == purge + embargo
        assert fold.train.stop - 1 + purge < fold.valid.start  # the label of the last train row
        assert len(fold.train) >= (len(fold.valid) if min_train is None else min_train)
    assert made[0].train.start == zone.start
    if mode == "expanding":
        assert {fold.train.start for fold in made} == {zone.start}
    else:
        assert len({len(fold.train) for fold in made}) == 1


@given(rows=st.integers(2, 1_000), fraction=st.floats(0.05, 0.95), purge=st.integers(2, 9), embargo=st.integers(0, 60))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_holdout(rows: int, fraction: float, purge: int, embargo: int) -> None:
    zone = Span(7, 7 + rows)
    left = rows - purge - embargo
    if left < 1 or not 0 < round(left * fraction) < left:
        with pytest.raises(ConfigError):
            holdout(zone, fraction, purge=purge, embargo=embargo)
        return
    fold = holdout(zone, fraction, purge=purge, embargo=embargo)
    assert (fold.train.start, fold.valid.stop) == (zone.start, zone.stop)
    assert fold.gap == purge + embargo
    assert abs(len(fold.valid) - left * fraction) <= 0.5


def test_one_row_too_few_between_train_and_valid_is_found() -> None:
    require_gap(Fold(train=Span(0, 90), valid=Span(100, 120)), purge=2, embargo=8)
    with pytest.raises(
        LookaheadError, match=r"got 9 rows.*end train 1 rows earlier|got 9 rows.*End train 1 rows earlier"
    ):
        require_gap(Fold(train=Span(0, 91), valid=Span(100, 120)), purge=2, embargo=8)


def test_a_fold_that_learns_from_the_future_cannot_be_made() -> None:
    Fold(train=Span(0, 50), valid=Span(50, 60))
    with pytest.raises(LookaheadError):
        Fold(train=Span(0, 51), valid=Span(50, 60))
    with pytest.raises(LookaheadError):
        Fold(train=Span(70, 90), valid=Span(0, 60))


@pytest.mark.parametrize("zone", [VaultZone(0, 500), OpenedVault(0, 500, None)])
def test_no_folds_in_the_vault(zone: Span) -> None:
    with pytest.raises(VaultError):
        walk_forward(zone, folds=2, purge=2, embargo=8)
    with pytest.raises(VaultError):
        holdout(zone, 0.5, purge=2, embargo=8)


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError, match="mode"):
        walk_forward(Span(0, 500), folds=2, purge=2, embargo=8, mode="sliding")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="folds"):
        walk_forward(Span(0, 500), folds=0, purge=2, embargo=8)
    with pytest.raises(LookaheadError, match="purge"):
        walk_forward(Span(0, 500), folds=2, purge=1, embargo=8)
    with pytest.raises(ConfigError, match="embargo"):
        walk_forward(Span(0, 500), folds=2, purge=2, embargo=-1)
    for fraction in (0.0, 1.0):
        with pytest.raises(ConfigError, match="fraction"):
            holdout(Span(0, 500), fraction, purge=2, embargo=8)
