"""How sharp the validation loss is in the alphas: where it grows sharp, the discretised architecture is worth less.

    H = d2 L_valid(w, a) / da2 over all alphas at once, one batch, current weights      RobustDARTS (Zela et al. 2020,
    e = its largest eigenvalue (signed, not by size) + the alphas' weight decay         arXiv:1909.09656, sec. 4.2)

H is symmetric, so e is the largest Ritz value of a Lanczos iteration once its residual is below the tolerance (Lanczos
1950; Golub & Van Loan, Matrix Computations, sec. 10.1), with every vector orthogonalised against all before it: exact
products H v by a double backward pass, a dozen of them, where the authors' code makes all N rows of H (81 for a cell of
nine edges with nine ops).  Both give the same number; the tests hold one against the other.

Where a method draws its ops (GDAS), the batch is seen through one draw, and H is that of the surrogate whose gradient
the alphas learn from.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tradenas.errors import DivergedError
from tradenas.search.parts.bilevel import Tensors
from tradenas.seeds import rng_for
from tradenas.typing import FloatArray

__all__ = ["curvature_along", "dominant_eigenvalue", "largest_eigenvalue"]


def dominant_eigenvalue(loss: Callable[[Tensors], Tensor], alphas: Tensors, *, weight_decay: float = 0.0) -> float:
    """The largest eigenvalue of the exact Hessian of a loss in all alphas jointly, `weight_decay` on its diagonal.

    Raises:
        DivergedError: the Hessian has entries that are not finite.
    """
    size = sum(a.numel() for a in alphas.values())
    return largest_eigenvalue(curvature_along(loss, alphas), size) + weight_decay


def curvature_along(loss: Callable[[Tensors], Tensor], alphas: Tensors) -> Callable[[FloatArray], FloatArray]:
    """The product of the Hessian with a vector, both (N,) in the order of `alphas`.

    The loss is evaluated once, here; each product is a backward pass through its gradient.
    """
    flat_N = torch.cat([a.detach().flatten() for a in alphas.values()]).requires_grad_()
    parts = torch.split(flat_N, [a.numel() for a in alphas.values()])
    value = loss({n: p.view_as(a) for (n, a), p in zip(alphas.items(), parts, strict=True)})
    gradient_N = None
    if value.requires_grad:
        (gradient_N,) = torch.autograd.grad(value, flat_N, create_graph=True, allow_unused=True)

    def along(v_N: FloatArray) -> FloatArray:
        if gradient_N is None or not gradient_N.requires_grad:
            return np.zeros_like(v_N)
        v = torch.from_numpy(v_N).to(flat_N)
        (product_N,) = torch.autograd.grad(gradient_N, flat_N, v, retain_graph=True, allow_unused=True)
        return np.zeros_like(v_N) if product_N is None else product_N.to("cpu", torch.float64).numpy()

    return along


def largest_eigenvalue(
    product: Callable[[FloatArray], FloatArray], size: int, *, tolerance: float = 1e-6, least: int = 8
) -> float:
    """The largest eigenvalue (signed) of a symmetric matrix that is known by its products with vectors.

    Args:
        product: v to A v, both (size,) float64.
        size: of the matrix.
        tolerance: of the residual, beside the size of the matrix.
        least: iterations before it is asked whether that is reached.

    Raises:
        DivergedError: a product is not finite.

    >>> round(largest_eigenvalue(lambda v: np.array([-5.0, 0.5, 0.25]) * v, 3), 9)
    0.5
    """
    start_N = rng_for(0, "lanczos").standard_normal(size)
    basis = [start_N / np.linalg.norm(start_N)]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        rest_N = product(basis[-1])
        if not np.isfinite(rest_N).all():
            raise DivergedError("Hessian of the alphas", got="numbers that are not finite", expected="finite numbers")
        diagonal.append(float(rest_N @ basis[-1]))
        known_KN = np.stack(basis)
        for _ in range(2):  # once leaves rounding errors behind that grow
            rest_N = rest_N - (rest_N @ known_KN.T) @ known_KN
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
        length, spread = float(np.linalg.norm(rest_N)), float(np.abs(values).max())
        done = len(basis) >= least and length * abs(vectors[-1, -1]) <= tolerance * spread
        if done or len(basis) == size or length <= 1e-12 * max(spread, 1e-300):
            return float(values[-1])
        beside.append(length)
        basis.append(rest_N / length)
