"""The door for splits: ours pass unchanged, scikit-learn's learn from the future and do not."""

from __future__ import annotations

import functools
import subprocess
import sys

import numpy as np
import pytest

from tradenas.errors import ConfigError, LookaheadError, VaultError
from tradenas.splits import (
    Fold,
    SearchZone,
    Span,
    VaultZone,
    as_folds,
    combinatorial,
    holdout,
    purged_folds,
    refuse_shuffled,
    walk_forward,
)

ms = pytest.importorskip("sklearn.model_selection", reason="scikit-learn is not installed")
ZONE = SearchZone(50, 550)

SHUFFLED = {
    "KFold": lambda: ms.KFold(5),
    "KFold shuffled": lambda: ms.KFold(5, shuffle=True),
    "the class": lambda: ms.KFold,
    "StratifiedKFold": lambda: ms.StratifiedKFold(5),
    "GroupKFold": lambda: ms.GroupKFold(5),
    "RepeatedKFold": lambda: ms.RepeatedKFold(),
    "ShuffleSplit": lambda: ms.ShuffleSplit(3),
    "StratifiedShuffleSplit": lambda: ms.StratifiedShuffleSplit(3),
    "LeaveOneOut": lambda: ms.LeaveOneOut(),
    "PredefinedSplit": lambda: ms.PredefinedSplit([0, 1, 0]),
    "train_test_split": lambda: ms.train_test_split,
    "partial": lambda: functools.partial(ms.train_test_split, test_size=0.2),
    "partial of partial": lambda: functools.partial(functools.partial(ms.KFold, 5), shuffle=True),
    "bound split": lambda: ms.KFold(5).split,
    "bound split of another make": lambda: type("KFold", (), {"split": lambda self: None})().split,
    "whatever else scikit-learn has": lambda: ms.permutation_test_score,
    "a subclass": lambda: type("Mine", (ms.KFold,), {})(5),
    "cv=5": lambda: 5,
    "TimeSeriesSplit without gap": lambda: ms.TimeSeriesSplit(5),
    "TimeSeriesSplit class": lambda: ms.TimeSeriesSplit,
    "shuffle=True of any make": lambda: type("Loader", (), {"shuffle": True})(),
    "same name, other make": lambda: type("StratifiedKFold", (), {})(),
}


@pytest.mark.parametrize("make", SHUFFLED.values(), ids=SHUFFLED.keys())
def test_refused(make) -> None:
    with pytest.raises(LookaheadError, match="walk_forward"):
        refuse_shuffled(make())
    with pytest.raises(LookaheadError, match="walk_forward"):
        as_folds(make(), ZONE, purge=2, embargo=8)


OTHERS = {
    "a generator of index pairs": lambda: ms.KFold(5).split(np.zeros((500, 1))),
    "index pairs": lambda: [(np.arange(60, 100), np.arange(120, 150))],
    "none": lambda: None,
    "text": lambda: "kfold",
    "a span": lambda: Span(60, 100),
    "purged folds": lambda: purged_folds(ZONE, folds=4, purge=2, embargo=8),
    "combinatorial": lambda: list(combinatorial(ZONE, groups=6, tested=2, purge=2, embargo=8)),
    "an unknown splitter": lambda: type("Own", (), {"split": lambda self, x: [(x, x)]})(),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS.keys())
def test_only_ours(make) -> None:
    with pytest.raises(LookaheadError):
        as_folds(make(), ZONE, purge=2, embargo=8)


def test_splits_that_also_learn_from_later_rows_are_named() -> None:
    with pytest.raises(LookaheadError, match="also learns from later rows"):
        as_folds(purged_folds(ZONE, folds=4, purge=2, embargo=8), ZONE, purge=2, embargo=8)


def test_ours_pass_unchanged() -> None:
    folds = walk_forward(ZONE, folds=4, purge=2, embargo=8)
    refuse_shuffled(folds)
    assert as_folds(folds, ZONE, purge=2, embargo=8) == folds
    assert as_folds(iter(folds), ZONE, purge=2, embargo=8) == folds
    fold = holdout(ZONE, 0.2, purge=2, embargo=8)
    assert as_folds(fold, ZONE, purge=2, embargo=8) == (fold,)


def test_folds_one_row_too_close_are_refused() -> None:
    folds = walk_forward(ZONE, folds=4, purge=2, embargo=8)
    for purge, embargo in ((3, 8), (2, 9)):
        with pytest.raises(LookaheadError, match="fold 0: got 10 rows"):
            as_folds(folds, ZONE, purge=purge, embargo=embargo)


def test_folds_outside_the_zone_or_judging_twice_are_refused() -> None:
    folds = walk_forward(ZONE, folds=4, purge=2, embargo=8)
    with pytest.raises(ConfigError, match="rows of Span"):
        as_folds(folds, Span(50, 549), purge=2, embargo=8)
    with pytest.raises(LookaheadError, match="none of them twice"):
        as_folds((folds[0], folds[0]), ZONE, purge=2, embargo=8)
    with pytest.raises(LookaheadError, match="none of them twice"):
        as_folds(folds[::-1], ZONE, purge=2, embargo=8)
    with pytest.raises(ConfigError, match="no fold"):
        as_folds((), ZONE, purge=2, embargo=8)


def test_time_series_split_needs_the_whole_gap() -> None:
    with pytest.raises(LookaheadError, match="gap=10 or more"):
        as_folds(ms.TimeSeriesSplit(4, gap=9), ZONE, purge=2, embargo=8)
    folds = as_folds(ms.TimeSeriesSplit(4, gap=10), ZONE, purge=2, embargo=8)
    assert len(folds) == 4
    assert {fold.gap for fold in folds} == {10}
    assert folds[0].train.start == 50
    assert folds[-1].valid.stop == 550
    assert folds == walk_forward(ZONE, folds=4, purge=2, embargo=8, min_train=folds[0].train.stop - 50)
    with pytest.raises(ConfigError, match="TimeSeriesSplit"):
        as_folds(ms.TimeSeriesSplit(4, gap=490), ZONE, purge=2, embargo=8)


def test_never_in_the_vault() -> None:
    folds = walk_forward(ZONE, folds=4, purge=2, embargo=8)
    with pytest.raises(VaultError):
        as_folds(folds, VaultZone(50, 550), purge=2, embargo=8)
    with pytest.raises(VaultError):
        as_folds(Fold(train=Span(50, 90), valid=VaultZone(100, 200)), ZONE, purge=2, embargo=8)


def test_scikit_learn_is_not_imported_by_the_guard() -> None:
    code = (
        "import sys; from tradenas.splits import *\n"
        "as_folds(walk_forward(Span(0, 99), folds=2, purge=2, embargo=3), Span(0, 99), purge=2, embargo=3)\n"
        "print('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
