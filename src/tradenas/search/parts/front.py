"""What is best by several objectives at once: fronts, and how much of the space of objectives they cover.

    front         what nothing else beats in one objective without losing in another; then what only those beat
                  non-dominated sorting (Deb et al., IEEE Trans. Evol. Comput. 6(2), 2002, sec. III-A), pymoo
    crowding      mean side of the cuboid around a point of its front                     sec. III-B, pymoo
    limits        what fits dominates what does not; of two that do not, the one nearer to the limits dominates
                  (sec. VI; Deb, Comput. Methods Appl. Mech. Eng. 186, 2000)
    hypervolume   of what a front dominates, up to a reference point (Zitzler & Thiele 1999), pymoo, exact

Less is better everywhere: the caller turns signs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradenas.errors import ConfigError, MissingExtra
from tradenas.typing import FloatArray

__all__ = ["hypervolume", "pareto"]


def pareto(costs_NK: FloatArray, violation_N: Sequence[float] = ()) -> tuple[tuple[int, ...], FloatArray]:
    """The front of each row, 0 first, and how far it lies from its neighbours there; less is better everywhere.

    A row with a number that is not finite comes after all fronts, crowded by itself.

    Args:
        costs_NK: N points, K objectives.
        violation_N: how far each is beyond limits, 0 where it is not; empty where nothing is limited.

    >>> fronts, apart = pareto(np.array([[0.0, 3.0], [1.0, 1.0], [3.0, 0.0], [2.0, 2.0], [np.inf, 0.0]]))
    >>> fronts, apart.round(2).tolist()
    ((0, 0, 0, 1, 2), [inf, 1.0, inf, inf, 0.0])
    >>> pareto(np.array([[0.0, 0.0], [2.0, 2.0], [1.0, 1.0]]), [0.5, 0.0, 0.2])[0]
    (2, 0, 1)
    """
    try:
        from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
        from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
    except ModuleNotFoundError as error:
        raise MissingExtra.of("pymoo", extra="search") from error
    over_N = np.asarray(violation_N if len(violation_N) else np.zeros(len(costs_NK)), dtype=float)
    known_N = np.isfinite(costs_NK).all(axis=1)
    inside_N = np.flatnonzero(known_N & (over_N <= 0.0))
    found = [inside_N[front] for front in NonDominatedSorting().do(costs_NK[inside_N])] if len(inside_N) else []
    found += [np.flatnonzero(known_N & (over_N == far)) for far in np.unique(over_N[known_N & (over_N > 0.0)])]
    fronts_N = np.full(len(costs_NK), len(found))
    apart_N = np.zeros(len(costs_NK))
    crowding = get_crowding_function("cd")
    for number, front in enumerate(found):
        fronts_N[front] = number
        apart_N[front] = crowding.do(costs_NK[front]) if len(front) > 2 else np.inf
    return tuple(fronts_N.tolist()), apart_N


def hypervolume(costs_NK: FloatArray, reference_K: Sequence[float]) -> float:
    """The volume that some points dominate, up to a reference; a point that is not better than it everywhere adds none.

    Args:
        costs_NK: N points, K objectives, less is better; rows with a number that is not finite add nothing.
        reference_K: the worst of each objective that counts.

    Raises:
        ConfigError: a reference of another length.

    >>> hypervolume(np.array([[1.0, 3.0], [2.0, 1.0], [9.0, 0.0]]), [4.0, 4.0])
    7.0
    """
    try:
        from pymoo.indicators.hv import HV
    except ModuleNotFoundError as error:
        raise MissingExtra.of("pymoo", extra="search") from error
    reference = np.asarray(reference_K, dtype=float)
    if costs_NK.ndim != 2 or costs_NK.shape[1] != len(reference):
        got = f"{len(reference)} numbers for points {costs_NK.shape}"
        raise ConfigError("hypervolume.reference_K", got=got, expected="one for each objective")
    inside_NK = costs_NK[np.isfinite(costs_NK).all(axis=1) & (costs_NK < reference).all(axis=1)]
    return float(HV(ref_point=reference)(inside_NK)) if len(inside_NK) else 0.0
