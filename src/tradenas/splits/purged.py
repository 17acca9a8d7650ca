"""Purged and combinatorial cross-validation, for studies of overfitting; a model search uses `walk_forward`.

These splits also learn from rows *after* the judged ones, so they answer "how much does the result depend on the
period", never "what would it have earned".  `as_folds` therefore refuses them.

Source: Lopez de Prado, Advances in Financial Machine Learning (2018), 7.4 (purging and embargo) and 12 (CPCV).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from tradenas.errors import ConfigError
from tradenas.splits.spans import Span, whole
from tradenas.splits.walk_forward import no_vault
from tradenas.splits.zones import row_gap
from tradenas.typing import IntArray

__all__ = ["Split", "combinatorial", "num_paths", "num_splits", "paths", "purge_rows", "purged_folds"]

MAX_SPLITS = 100_000


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows to learn from, on both sides of the rows to be judged on.

    Attributes:
        train: spans in order of time, purged and embargoed.
        test: the judged groups, in order of time.
    """

    train: tuple[Span, ...]
    test: tuple[Span, ...]

    @property
    def train_rows(self) -> IntArray:
        """Row numbers to learn from."""
        return np.concatenate([span.rows for span in self.train]) if self.train else np.empty(0, np.int64)

    @property
    def test_rows(self) -> IntArray:
        """Row numbers to be judged on."""
        return np.concatenate([span.rows for span in self.test])


def purge_rows(rows: IntArray, test: Iterable[Span], *, purge: int, embargo: int) -> IntArray:
    """Those of `rows` that may be learned from when `test` is judged.

    Row i is dropped where its label interval [i, i + purge] meets [j, j + purge] of any judged row j, and where it
    lies in the `embargo` rows after the last judged label.

    Args:
        rows: candidate row numbers.
        test: judged spans.
        purge: label horizon + entry delay, in rows.
        embargo: at least the lookback: a later window must not read a judged bar.

    >>> purge_rows(np.arange(20), [Span(8, 10)], purge=2, embargo=3).tolist()
    [0, 1, 2, 3, 4, 5, 15, 16, 17, 18, 19]
    """
    row_gap(purge, embargo)
    kept = np.asarray(rows, dtype=np.int64)
    for span in test:
        kept = kept[(kept < span.start - purge) | (kept >= span.stop + purge + embargo)]
    return kept


def purged_folds(zone: Span, *, folds: int, purge: int, embargo: int) -> Iterator[Split]:
    """Each block of the zone judged once, everything else but its purged neighbourhood learned from.

    Raises:
        ConfigError: fewer than 2 folds, or nothing left to learn from.
        LookaheadError: a purge below 2.
        VaultError: the zone is the vault.

    >>> for split in purged_folds(Span(0, 30), folds=3, purge=2, embargo=3):
    ...     print(split.train, split.test)
    (Span(15, 30),) (Span(0, 10),)
    (Span(0, 8), Span(25, 30)) (Span(10, 20),)
    (Span(0, 18),) (Span(20, 30),)
    """
    return combinatorial(zone, groups=folds, tested=1, purge=purge, embargo=embargo)


def combinatorial(zone: Span, *, groups: int, tested: int, purge: int, embargo: int) -> Iterator[Split]:
    """Every choice of `tested` out of `groups` blocks judged once: C(groups, tested) splits.

    Args:
        zone: rows to use; never the vault.
        groups: blocks of (nearly) equal length.
        tested: blocks judged at a time.
        purge: label horizon + entry delay, in rows.
        embargo: at least the lookback, in rows.

    Raises:
        ConfigError: impossible counts, more than 100,000 splits, or a split with nothing to learn from.
        LookaheadError: a purge below 2.
        VaultError: the zone is the vault.
    """
    no_vault(zone, "combinatorial")
    groups, tested = _counts(groups, tested)
    row_gap(purge, embargo)
    if len(zone) < groups:
        raise ConfigError("combinatorial", got=f"{len(zone)} rows", expected=f"at least {groups}, one a group")
    edges = [zone.start + len(zone) * index // groups for index in range(groups + 1)]
    blocks = [Span(a, b) for a, b in pairwise(edges)]
    return _splits(zone, blocks, tested, purge, embargo)


def _splits(zone: Span, blocks: list[Span], tested: int, purge: int, embargo: int) -> Iterator[Split]:
    for chosen in combinations(range(len(blocks)), tested):
        test = tuple(blocks[index] for index in chosen)
        train = _runs(purge_rows(zone.rows, test, purge=purge, embargo=embargo))
        if not train:
            raise ConfigError(
                "combinatorial",
                got=f"no row left to learn from when {test} are judged",
                expected="groups longer than purge + embargo",
                fix="use fewer groups, a shorter embargo or a larger zone",
            )
        yield Split(train=train, test=test)


def _runs(rows: IntArray) -> tuple[Span, ...]:
    """Sorted row numbers as spans of consecutive ones."""
    if not len(rows):
        return ()
    cuts = np.flatnonzero(np.diff(rows) > 1) + 1
    return tuple(Span(int(part[0]), int(part[-1]) + 1) for part in np.split(rows, cuts))


def num_splits(groups: int, tested: int) -> int:
    """C(groups, tested).

    >>> num_splits(6, 2)
    15
    """
    groups, tested = _counts(groups, tested)
    return math.comb(groups, tested)


def num_paths(groups: int, tested: int) -> int:
    """Whole histories that the splits can be recombined into: tested / groups * C(groups, tested).

    >>> num_paths(6, 2)
    5
    """
    groups, tested = _counts(groups, tested)
    return math.comb(groups - 1, tested - 1)


def paths(groups: int, tested: int) -> IntArray:
    """Which split judges which group in each path: shape (paths, groups), entries index the splits.

    Path p takes the p-th judgement of every group, so each judgement is used in exactly one path.

    >>> paths(4, 2)
    array([[0, 0, 1, 2],
           [1, 3, 3, 4],
           [2, 4, 5, 5]])
    """
    groups, tested = _counts(groups, tested)
    splits = list(combinations(range(groups), tested))
    judged = [[index for index, chosen in enumerate(splits) if group in chosen] for group in range(groups)]
    return np.asarray(judged, dtype=np.int64).T


def _counts(groups: int, tested: int) -> tuple[int, int]:
    groups, tested = whole(groups, "groups", least=2), whole(tested, "tested", least=1)
    if tested >= groups:
        raise ConfigError("tested", got=tested, expected=f"fewer than the {groups} groups")
    if math.comb(groups, tested) > MAX_SPLITS:
        raise ConfigError(
            "groups", got=f"{math.comb(groups, tested):,} splits", expected=f"at most {MAX_SPLITS:,}", fix="use fewer"
        )
    return groups, tested
