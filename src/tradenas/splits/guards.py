"""The one door for anything that takes splits: ours pass, scikit-learn's shuffled ones do not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np

from tradenas.errors import ConfigError, LookaheadError
from tradenas.splits.purged import Split
from tradenas.splits.spans import Span
from tradenas.splits.walk_forward import Fold, no_vault, require_gap
from tradenas.splits.zones import row_gap

__all__ = ["as_folds", "refuse_shuffled"]

SHUFFLED = frozenset(
    {
        "GroupKFold",
        "GroupShuffleSplit",
        "KFold",
        "LeaveOneGroupOut",
        "LeaveOneOut",
        "LeavePGroupsOut",
        "LeavePOut",
        "PredefinedSplit",
        "RepeatedKFold",
        "RepeatedStratifiedKFold",
        "ShuffleSplit",
        "StratifiedGroupKFold",
        "StratifiedKFold",
        "StratifiedShuffleSplit",
        "check_cv",
        "cross_val_predict",
        "cross_val_score",
        "cross_validate",
        "train_test_split",
    }
)


def refuse_shuffled(splitter: object) -> None:
    """Refuse a splitter that would learn from the future: shuffled, interleaved, or without a gap.

    Recognised by class name and module over the whole ancestry, so scikit-learn itself is never imported; a class, an
    instance, a function and a `functools.partial` of one are all recognised, and so is anything with `shuffle=True`.
    An integer is refused too, because scikit-learn reads `cv=5` as `KFold(5)`.

    Raises:
        LookaheadError: what was passed and what to pass instead.

    >>> class KFold: ...
    >>> refuse_shuffled(KFold())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tradenas.errors.LookaheadError: splits: got KFold, expected folds that learn from the past only. Use ...
    """
    target: Any = splitter
    while hasattr(target, "func") and hasattr(target, "keywords"):
        target = target.func
    target = getattr(target, "__self__", target)  # a bound method, as of KFold().split
    if isinstance(target, (bool, int, np.integer)):
        _refuse(f"the number {target}, which scikit-learn reads as KFold({target})")
    named = target if hasattr(target, "__name__") else type(target)
    family = getattr(named, "__mro__", (named,))
    names = [str(member.__name__) for member in family]
    if "TimeSeriesSplit" in names:
        if _gap(target) < 1:
            _refuse("TimeSeriesSplit without a gap", fix="pass gap=purge + embargo, or use walk_forward")
        return
    foreign = any(str(getattr(member, "__module__", "")).split(".")[0] == "sklearn" for member in family)
    if foreign or not SHUFFLED.isdisjoint(names):
        _refuse(names[0])
    if getattr(target, "shuffle", False) is True:
        _refuse(f"{names[0]} with shuffle=True")


def as_folds(splits: object, zone: Span, *, purge: int, embargo: int) -> tuple[Fold, ...]:
    """Folds that are safe to learn from: every API that takes splits passes them through here.

    Args:
        splits: a `Fold`, folds of `walk_forward` or `holdout`, or scikit-learn's `TimeSeriesSplit` with a gap of at
            least purge + embargo.
        zone: rows they must stay inside.
        purge: label horizon + entry delay, in rows.
        embargo: at least the lookback, in rows.

    Raises:
        LookaheadError: splits of another make, too little room between train and valid, or judged rows that overlap.
        ConfigError: no fold, or a fold that leaves the zone.
        VaultError: the zone is the vault.

    >>> as_folds(Fold(train=Span(0, 50), valid=Span(60, 80)), Span(0, 100), purge=2, embargo=8)
    (Fold(train=Span(0, 50), valid=Span(60, 80)),)
    """
    no_vault(zone, "as_folds")
    gap = row_gap(purge, embargo)
    refuse_shuffled(splits)
    if isinstance(splits, Fold):
        folds: tuple[Fold, ...] = (splits,)
    elif any(kind.__name__ == "TimeSeriesSplit" for kind in type(splits).__mro__):
        if _gap(splits) < gap:
            _refuse(
                f"TimeSeriesSplit(gap={_gap(splits)})",
                fix=f"pass gap={gap} or more (purge {purge} + embargo {embargo}), or use walk_forward",
            )
        folds = _from_time_series_split(splits, zone)
    else:
        folds = _ours(splits)
    _check(folds, zone, purge, embargo)
    return folds


def _ours(splits: object) -> tuple[Fold, ...]:
    if not isinstance(splits, Iterable) or isinstance(splits, (str, bytes, Span)):
        _refuse(type(splits).__name__)
    folds = []
    for fold in splits:
        if isinstance(fold, Split):
            _refuse("a purged K-fold or combinatorial split, which also learns from later rows")
        if not isinstance(fold, Fold):
            _refuse(f"an element of type {type(fold).__name__}")
        folds.append(fold)
    return tuple(folds)


def _from_time_series_split(splitter: Any, zone: Span) -> tuple[Fold, ...]:
    made = []
    try:
        pairs = [(np.asarray(a), np.asarray(b)) for a, b in splitter.split(np.empty((len(zone), 1)))]
    except ValueError as error:
        raise ConfigError("TimeSeriesSplit", got=str(error), expected=f"a split of {len(zone)} rows") from error
    for train, valid in pairs:
        for rows in (train, valid):
            if not len(rows) or (np.diff(rows) != 1).any():
                _refuse("a TimeSeriesSplit whose rows are not consecutive")
        made.append(
            Fold(
                train=Span(zone.start + int(train[0]), zone.start + int(train[-1]) + 1),
                valid=Span(zone.start + int(valid[0]), zone.start + int(valid[-1]) + 1),
            )
        )
    return tuple(made)


def _check(folds: tuple[Fold, ...], zone: Span, purge: int, embargo: int) -> None:
    if not folds:
        raise ConfigError("splits", got="no fold", expected="at least one")
    for index, fold in enumerate(folds):
        place = f"fold {index}"
        no_vault(fold.train, place)
        no_vault(fold.valid, place)
        if not (fold.train.within(zone) and fold.valid.within(zone)):
            raise ConfigError(place, got=f"{fold.train} and {fold.valid}", expected=f"rows of {zone}")
        require_gap(fold, purge=purge, embargo=embargo, place=place)
        if index and fold.valid.start < folds[index - 1].valid.stop:
            raise LookaheadError(
                place,
                got=f"{fold.valid} after {folds[index - 1].valid}",
                expected="judged rows in order of time, none of them twice",
            )


def _gap(splitter: Any) -> int:
    gap = getattr(splitter, "gap", 0)
    return int(gap) if isinstance(gap, (int, np.integer)) else 0


def _refuse(what: str, *, fix: str = "use tradenas.splits.walk_forward, holdout or make_zones") -> NoReturn:
    raise LookaheadError("splits", got=what, expected="folds that learn from the past only", fix=fix)
