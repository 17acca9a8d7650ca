"""Gap-free stretches of a series."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tradenas.typing import BoolArray

__all__ = ["gap_free"]


def gap_free(gap_T: BoolArray, longer_than: int = 0) -> list[tuple[int, int]]:
    """First row and row past the end of every gap-free stretch of more than `longer_than` rows.

    >>> gap_free(np.array([False, False, True, False, False]), 2)
    [(2, 5)]
    """
    edges = [0, *np.flatnonzero(gap_T).tolist(), len(gap_T)]
    return [(start, stop) for start, stop in pairwise(edges) if stop - start > longer_than]
