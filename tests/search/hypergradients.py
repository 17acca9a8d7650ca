"""A two-level problem whose hypergradient is known in closed form, and wrong ways to compute it.

    L_train = |w|^2 / 2 + w' B a + 0.15 |a|^2 |w|^2        dL_train/dw = w + B a + 0.3 |a|^2 w
                                                           d2L_train/da dw applied to v = B' v + 0.6 a (w . v)
    L_valid = |w - b|^2 / 2 + c' a + |a|^2 |w|^2 / 2       dL_valid/dw = w - b + |a|^2 w,  dL_valid/da = c + a |w|^2

The wrong ways are the defects found in published packages, written down anew from what each computes: the defect
reproduced, not their code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tradenas.search.parts.bilevel import WeightStep
from tradenas.seeds import rng_for

__all__ = ["MUTANTS", "Answer", "Problem", "architect", "cosine", "error", "flat"]

W_SIZES, A_SIZES = {"layer.weight": (3, 2), "head.weight": (4,)}, {"edge0/op": (3,), "edge1/op": (2,)}


def flat(tensors: dict[str, Tensor]) -> Tensor:
    """One vector."""
    return torch.cat([t.detach().flatten() for t in tensors.values()])


def unflat(vector: Tensor, sizes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The inverse of `flat`."""
    parts = torch.split(vector, [int(np.prod(s)) for s in sizes.values()])
    return {n: p.reshape(s) for (n, s), p in zip(sizes.items(), parts, strict=True)}


def error(got: Tensor, want: Tensor) -> float:
    """Relative, in the Euclidean norm."""
    return float((got - want).norm() / want.norm())


def cosine(got: Tensor, want: Tensor) -> float:
    return float(torch.dot(got, want) / (got.norm() * want.norm()))


@dataclass(frozen=True)
class Answer:
    """Both terms of a hypergradient as vectors."""

    direct: Tensor
    implicit: Tensor

    @property
    def total(self) -> Tensor:
        return self.direct + self.implicit


class Problem:
    """One random instance: weights, alphas, a momentum buffer, and one for alphas that strayed among the weights."""

    def __init__(self, seed: int = 0, *, dtype: torch.dtype = torch.float64, lr: float = 0.1) -> None:
        rng = rng_for(seed, "hypergradient")
        n, m = (sum(int(np.prod(s)) for s in sizes.values()) for sizes in (W_SIZES, A_SIZES))

        def normal(*shape: int, scale: float = 1.0) -> Tensor:
            return torch.from_numpy(scale * rng.standard_normal(shape)).to(dtype)

        self.B, self.b, self.c = normal(n, m), normal(n), normal(m)
        self.w, self.a, self.buffer, self.strayed = normal(n), normal(m, scale=0.5), normal(n), normal(m)
        self.lr, self.momentum, self.weight_decay = lr, 0.9, 3e-4

    @property
    def weights(self) -> dict[str, Tensor]:
        return unflat(self.w.clone(), W_SIZES)

    @property
    def alphas(self) -> dict[str, Tensor]:
        return unflat(self.a.clone(), A_SIZES)

    @property
    def step(self) -> WeightStep:
        return WeightStep(
            lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, buffers=unflat(self.buffer, W_SIZES)
        )

    def train(self, weights: dict[str, Tensor], alphas: dict[str, Tensor]) -> Tensor:
        return self.l_train(*(torch.cat([t.flatten() for t in x.values()]) for x in (weights, alphas)))

    def valid(self, weights: dict[str, Tensor], alphas: dict[str, Tensor]) -> Tensor:
        return self.l_valid(*(torch.cat([t.flatten() for t in x.values()]) for x in (weights, alphas)))

    def l_train(self, w: Tensor, a: Tensor) -> Tensor:
        return 0.5 * w @ w + w @ (self.B @ a) + 0.15 * (a @ a) * (w @ w)

    def l_valid(self, w: Tensor, a: Tensor) -> Tensor:
        return 0.5 * (w - self.b) @ (w - self.b) + self.c @ a + 0.5 * (a @ a) * (w @ w)

    def unrolled(self) -> Tensor:
        """w' by hand."""
        gradient = self.w + self.B @ self.a + 0.3 * (self.a @ self.a) * self.w
        return self.w - self.lr * (self.momentum * self.buffer + gradient + self.weight_decay * self.w)

    def truth(self) -> Answer:
        """The closed form."""
        after = self.unrolled()
        v = after - self.b + (self.a @ self.a) * after
        direct = self.c + self.a * (after @ after)
        return Answer(direct, -self.lr * (self.B.T @ v + 0.6 * self.a * (self.w @ v)))


def gradient(loss: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad(loss, of)[0]


def architect(
    p: Problem,
    *,
    momentum: bool = True,
    weight_decay: bool = True,
    valid_at_w: bool = False,
    product_at_after: bool = False,
    precedence: bool = False,
    strayed: bool = False,
    alphas_put_back: bool = False,
) -> Tensor:
    """The finite-difference algorithm on plain vectors; each switch is one defect, none is right.

    Args:
        momentum: False forgets the buffer in w'.
        weight_decay: False forgets the decay in w'.
        valid_at_w: v is taken at w, not at w'.
        product_at_after: the perturbation is around w', not around w.
        precedence: `x / 2.*eps`, which multiplies by eps where it should divide.
        strayed: alphas are parameters of the network: they are stepped on, belong to v and are perturbed.
        alphas_put_back: with `strayed`: alphas are not stepped on, but belong to v and are perturbed.
    """
    size = len(p.w)
    theta = torch.cat([p.w, p.a]).requires_grad_()  # alphas move with the weights only where they strayed
    buffer = torch.cat([p.buffer, p.strayed])
    moves = torch.ones_like(theta)
    if not strayed:
        moves[size:] = 0.0
    change = gradient(p.l_train(theta[:size], theta[size:]), theta)
    with torch.no_grad():
        if momentum:
            change = change + p.momentum * buffer
        if weight_decay:
            change = change + p.weight_decay * theta
        after = theta - p.lr * moves * change
        if alphas_put_back:
            after[size:] = p.a
    after.requires_grad_()
    seen = theta if valid_at_w else after
    both = gradient(p.l_valid(seen[:size], seen[size:]), seen)
    v = both * moves
    eps = 0.01 / v.norm()
    centre = after.detach() if product_at_after else theta.detach()

    def at(sign: float) -> Tensor:
        near = (centre + sign * eps * v).requires_grad_()
        return gradient(p.l_train(near[:size], near[size:]), near)[size:]

    difference = at(1.0) - at(-1.0)
    product = difference / 2.0 * eps if precedence else difference / (2.0 * eps)
    return both[size:] - p.lr * product


def first_order(p: Problem) -> Tensor:
    a = p.a.clone().requires_grad_()
    return gradient(p.l_valid(p.w, a), a)


def rebound(p: Problem) -> Tensor:
    """`w = w - ...` binds a name and moves nothing, and `.grad` is kept by reference while four passes add to it."""
    w, a = p.w.clone().requires_grad_(), p.a.clone().requires_grad_()
    p.l_train(w, a).backward()
    p.l_valid(w, a).backward()  # at w: the step was taken by a local name
    d_w, d_a = w.grad, a.grad
    eps = 0.01 / d_w.norm()
    seen = []
    for move in (eps, -2.0 * eps):
        with torch.no_grad():
            w += move * d_w
        p.l_train(w, a).backward()
        seen.append(a.grad)
    product = (seen[0] - seen[1]) / (2.0 * eps)  # one tensor less itself
    return d_a - p.lr * product


#: What stands for what: name, who computes it so, and the relative error of METHODS 4.1 on its own instance.
MUTANTS: dict[str, tuple[str, Callable[[Problem], Tensor], float]] = {
    "first order": ("DARTS's own first-order option", first_order, 0.207),
    "alphas among the weights": (
        "quark0/darts with alphas as nn.Parameter", lambda p: architect(p, strayed=True), 0.177,
    ),
    "`/ 2.*eps`": ("khanrc/pt.darts", lambda p: architect(p, precedence=True), 0.199),
    "alphas in v": (
        "microsoft/archai, bilevel_optimizer", lambda p: architect(p, strayed=True, alphas_put_back=True), 0.058,
    ),
    "rebound names, shared .grad": ("open-mmlab/mmrazor, unroll=True", rebound, 2.50),
    "no momentum": ("", lambda p: architect(p, momentum=False), 0.100),
    "no weight decay": ("", lambda p: architect(p, weight_decay=False), 5e-5),
    "L_valid at w": ("", lambda p: architect(p, valid_at_w=True), 0.094),
    "product around w'": ("", lambda p: architect(p, product_at_after=True), 0.0025),
}  # fmt: skip
