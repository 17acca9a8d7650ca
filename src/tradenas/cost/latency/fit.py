"""From the sum of a network's parts to its time: three coefficients, fitted on whole networks.

    t = a + b sum + c parts        least squares of (fitted - measured) / measured

a is what a call costs by itself, b and c what parts cost more or less beside each other than alone.  Ten networks are
few for three coefficients, so each is drawn to what it would be if parts simply added up (an empty call, 1 and 0), the
more, the less the networks agree with the fit: with s^2 the variance of what is left, and a width w for each,

    sum of squared errors + s^2 sum ((coefficient - expected) / w)^2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tradenas.errors import ConfigError
from tradenas.typing import FloatArray

__all__ = ["Fit", "fit", "relative_fit"]

#: How far coefficients are from what they would be if parts simply added up, in the size of a usual network.
WIDTH = 0.15


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The coefficients, in probes.

    Attributes:
        a: of every network.
        b: of the sum of its parts.
        c: of each of its parts.
    """

    a: float
    b: float
    c: float

    def __call__(self, total: float, parts: int) -> float:
        """Of a network whose parts take `total` together."""
        return self.a + self.b * total + self.c * parts


def relative_fit(columns: Sequence[Sequence[float]], measured: Sequence[float]) -> FloatArray:
    """Coefficients of some columns and of a constant in front, by least squares of relative errors."""
    y = np.asarray(measured, dtype=np.float64)
    design = np.column_stack([np.ones(len(y)), *(np.asarray(c, dtype=np.float64) for c in columns)])
    return np.asarray(np.linalg.lstsq(design / y[:, None], np.ones(len(y)), rcond=None)[0], dtype=np.float64)


def fit(totals: Sequence[float], parts: Sequence[int], measured: Sequence[float], *, call: float = 0.0) -> Fit:
    """The coefficients that fit whole networks best.

    Args:
        totals: sum of the parts of each.
        parts: their number.
        measured: time of each.
        call: time of an empty call.

    Raises:
        ConfigError: fewer than four networks, or a time that is none.

    >>> found = fit([1.0, 2.0, 4.0, 4.0], [2, 3, 5, 7], [3.2, 4.3, 6.5, 6.7])
    >>> round(found.a, 6), round(found.b, 6), round(found.c, 6)
    (2.0, 1.0, 0.1)
    """
    if len(measured) < 4 or min(measured) <= 0.0:
        raise ConfigError("calibration", got=f"{len(measured)} networks", expected="four or more, with times above 0")
    y, number = np.asarray(measured, dtype=np.float64), np.asarray(parts, dtype=np.float64)
    design = np.column_stack([np.ones(len(y)), np.asarray(totals, dtype=np.float64), number]) / y[:, None]
    plain = relative_fit([totals, number.tolist()], measured)
    left = float(((design @ plain - 1.0) ** 2).sum()) / max(1, len(y) - 3)
    usual = float(np.median(y))
    widths = np.array([WIDTH * usual, WIDTH, WIDTH * usual / float(np.median(number))])
    drawn = np.diag(np.sqrt(left) / widths)
    rows, right = np.vstack([design, drawn]), np.concatenate([np.ones(len(y)), drawn @ np.array([call, 1.0, 0.0])])
    a, b, c = (float(v) for v in np.linalg.lstsq(rows, right, rcond=None)[0])
    return Fit(a=a, b=b, c=c)
