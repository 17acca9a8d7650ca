"""Purged and combinatorial splits against the definition, row by row, and against skfolio."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas.errors import ConfigError, LookaheadError, VaultError
from tradenas.splits import Span, VaultZone, combinatorial, num_paths, num_splits, paths, purge_rows, purged_folds


@given(
    tests=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), min_size=1, max_size=3),
    purge=st.integers(2, 7),
    embargo=st.integers(0, 9),
)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_purge_against_the_definition(tests: list[tuple[int, int]], purge: int, embargo: int) -> None:
    spans = [Span(start, start + size) for start, size in tests]
    kept = set(purge_rows(np.arange(90), spans, purge=purge, embargo=embargo).tolist())
    for i in range(90):
        meets = any(i <= j + purge and j <= i + purge for span in spans for j in span)
        embargoed = any(span.stop - 1 + purge < i <= span.stop - 1 + purge + embargo for span in spans)
        assert (i in kept) == (not meets and not embargoed)


def test_every_row_is_judged_once_by_purged_folds() -> None:
    splits = list(purged_folds(Span(5, 108), folds=4, purge=3, embargo=5))
    assert np.concatenate([split.test_rows for split in splits]).tolist() == list(range(5, 108))
    nearest = [np.abs(split.train_rows[:, None] - split.test_rows[None]).min() for split in splits]
    assert nearest == [9, 4, 4, 4]  # purge + 1 before the judged rows; after them (all of fold 0) the embargo too


@pytest.mark.parametrize(("groups", "tested"), [(6, 2), (5, 3), (10, 8), (8, 4)])
def test_counts_and_paths_are_those_of_skfolio(groups: int, tested: int) -> None:
    skfolio = pytest.importorskip("skfolio.model_selection", reason="skfolio is not installed")
    theirs = skfolio.CombinatorialPurgedCV(n_folds=groups, n_test_folds=tested)
    assert num_splits(groups, tested) == theirs.n_splits
    assert num_paths(groups, tested) == theirs.n_test_paths
    assert paths(groups, tested).T.tolist() == theirs.recombined_paths.tolist()


def test_six_choose_two() -> None:
    assert (num_splits(6, 2), num_paths(6, 2)) == (15, 5)
    splits = list(combinatorial(Span(0, 600), groups=6, tested=2, purge=2, embargo=10))
    assert len(splits) == 15
    assert Counter(span for split in splits for span in split.test) == dict.fromkeys(
        (Span(100 * k, 100 * k + 100) for k in range(6)), 5
    )
    table = paths(6, 2)
    assert table.shape == (5, 6)
    for group in range(6):
        judges = [index for index, split in enumerate(splits) if Span(100 * group, 100 * group + 100) in split.test]
        assert sorted(table[:, group].tolist()) == judges


@pytest.mark.parametrize(("purge", "embargo"), [(2, 0), (5, 20)])
def test_train_rows_are_those_of_skfolio(purge: int, embargo: int) -> None:
    skfolio = pytest.importorskip("skfolio.model_selection", reason="skfolio is not installed")
    theirs = skfolio.CombinatorialPurgedCV(n_folds=6, n_test_folds=2, purged_size=purge, embargo_size=embargo)
    ours = combinatorial(Span(0, 600), groups=6, tested=2, purge=purge, embargo=embargo)
    for split, (train, test) in zip(ours, theirs.split(np.zeros((600, 1))), strict=True):
        assert split.train_rows.tolist() == train.tolist()
        assert split.test_rows.tolist() == np.concatenate(test).tolist()


def test_refusals() -> None:
    with pytest.raises(VaultError):
        combinatorial(VaultZone(0, 600), groups=6, tested=2, purge=2, embargo=0)
    with pytest.raises(LookaheadError):
        purge_rows(np.arange(9), [Span(3, 4)], purge=1, embargo=0)
    with pytest.raises(ConfigError, match="tested"):
        combinatorial(Span(0, 600), groups=3, tested=3, purge=2, embargo=0)
    with pytest.raises(ConfigError, match="at most 100,000"):
        num_splits(40, 20)
    with pytest.raises(ConfigError, match="no row left"):
        list(combinatorial(Span(0, 60), groups=6, tested=2, purge=2, embargo=60))
    with pytest.raises(ConfigError, match="one a group"):
        combinatorial(Span(0, 4), groups=6, tested=2, purge=2, embargo=0)
