"""How weights are moved once their gradients are there: clipped, then by AdamW, in as few calls as can be.

A supernet has hundreds of tensors and a step reaches a few of them, so what a step costs here is calls, not
arithmetic: `torch.nn.utils.clip_grad_norm_` and the unfused AdamW took a fifth of a step of a path 16 wide
(docs/results/speed.md).  Where there is a C compiler, one call goes through all tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from torch import Tensor, nn

from tradenas.nn.native.moves import moves, plain
from tradenas.typing import IntArray

if TYPE_CHECKING:
    from tradenas.train.loop import Optimisation

__all__ = ["AdamW", "RowMoves", "adamw", "clipped", "forget"]

#: Fields of `moved_t` in nn/native/moves.c.
WEIGHT, MEAN, SQUARE, STEPS, GRADIENT, SIZE, DECAY = range(7)


class AdamW(torch.optim.AdamW):
    """Torch's, with its state, whose step is one call of compiled code for weights in float32 on the CPU."""

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        library = moves()
        reached = [(g, [p for p in g["params"] if p.grad is not None]) for g in self.param_groups]
        if closure is not None or library is None or not all(plain(p, p.grad) for _, own in reached for p in own):
            found: float | None = super().step(closure)
            return found
        for group, weights in reached:
            if weights:
                table = np.array([self._row(weight) for weight in weights], np.int64)
                table[:, DECAY] = np.float64(group["weight_decay"]).view(np.int64)
                beta_1, beta_2 = group["betas"]
                library.tn_adamw(table.ctypes.data, len(table), float(group["lr"]), beta_1, beta_2, group["eps"])
        return None

    def _row(self, weight: Tensor) -> list[int]:
        """Where a weight, its moments and its gradient lie; moments stay where they are until a state is loaded."""
        known: dict[int, list[int]] = self.__dict__.setdefault("_known", {})
        row = known.get(id(weight))
        if row is None or row[WEIGHT] != weight.data_ptr():
            state = self.state[weight]
            if not state:
                state["step"] = torch.zeros(())
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
            held = (weight, state["exp_avg"], state["exp_avg_sq"], state["step"])
            row = known[id(weight)] = [*(t.data_ptr() for t in held), 0, weight.numel(), 0]
        assert weight.grad is not None
        row[GRADIENT] = weight.grad.data_ptr()
        return row

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Of a copy, and where a state is loaded: moments lie elsewhere then."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.__dict__.pop("_known", None)

    #: Torch wraps a step in what a profiler reads, which here takes as long as the step.
    step.hooked = True  # type: ignore[attr-defined]


def adamw(groups: Iterable[tuple[list[nn.Parameter], float]], *, lr: float, betas: tuple[float, float]) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) over groups of weights with their decays, in one call."""
    made = [{"params": weights, "weight_decay": decay} for weights, decay in groups if weights]
    return AdamW(made, lr=lr, betas=betas, fused=True)


def forget(weights: Iterable[Tensor]) -> None:
    """No gradients; what `zero_grad` does with a tenth of its calls."""
    for weight in weights:
        weight.grad = None


def clipped(weights: Iterable[Tensor], largest: float) -> float:
    """Scales the gradients so that their norm over all weights is at most `largest`; returns what it was.

    Gradients that are within it are not touched.

    >>> weight = torch.zeros(2, requires_grad=True)
    >>> (weight @ torch.tensor([3.0, 4.0])).backward()
    >>> clipped([weight], 1.0), [round(g, 5) for g in weight.grad.tolist()]
    (5.0, [0.6, 0.8])
    """
    gradients = [w.grad for w in weights if w.grad is not None]
    if not gradients:
        return 0.0
    library = moves()
    if library is not None and plain(*gradients):
        return _clipped(library, gradients, largest)
    norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
    if norm + 1e-6 > largest:
        torch._foreach_mul_(gradients, largest / (norm + 1e-6))
    return norm


class RowMoves:
    """What `clipped` and `AdamW` do, for networks whose weights are the rows of a matrix, in compiled code.

    Args:
        weights_NP: of N networks, every tensor flat, one after another.
        mean_NP: moving average of the gradients.
        square_NP: of their squares.
        steps_NT: how often each of the T tensors was moved.
        sizes: of the tensors.
        decays: which of them decay.

    Attributes:
        table: what the compiled code reads, (N, T, fields); None where there is none: not on the CPU, no compiler.
    """

    def __init__(
        self,
        weights_NP: Tensor,
        mean_NP: Tensor,
        square_NP: Tensor,
        steps_NT: Tensor,
        sizes: Sequence[int],
        decays: Sequence[bool],
    ) -> None:
        self.table: IntArray | None = None
        self._library = moves()
        if self._library is None or not plain(weights_NP, mean_NP):
            return
        self.table = np.zeros((*steps_NT.shape, 7), np.int64)
        self._sizes, self._decays = np.array(sizes), np.array(decays, float)
        before_T = np.cumsum(self._sizes) - self._sizes
        at_NT = weights_NP.shape[1] * np.arange(len(weights_NP))[:, None] + before_T
        for place, tensor in ((WEIGHT, weights_NP), (MEAN, mean_NP), (SQUARE, square_NP)):
            self.table[..., place] = tensor.data_ptr() + 4 * at_NT
        self.table[..., STEPS] = steps_NT.data_ptr() + 4 * np.arange(steps_NT.numel()).reshape(steps_NT.shape)
        self.table[..., SIZE] = self._sizes

    def norms(self, gradients: Sequence[Tensor]) -> Tensor | None:
        """The norm of each network's gradient (N,), of tensors (N, ...) that lie flat; None without compiled code."""
        if self.table is None:
            return None
        first_T = np.array([gradient.data_ptr() for gradient in gradients])
        self.table[..., GRADIENT] = first_T + 4 * np.arange(len(self.table))[:, None] * self._sizes
        norm_N = torch.empty(len(self.table), dtype=torch.float64)
        self._library.tn_norms(self.table.ctypes.data, *self.table.shape[:2], norm_N.data_ptr())
        return norm_N

    def step(
        self,
        lr_N: Sequence[float],
        norm_N: Tensor,
        goes_N: Tensor,
        training: Optimisation,
        betas: tuple[float, float],
        epsilon: float,
    ) -> None:
        """Clips the gradient of each network that goes, whose norms these are, and moves its weights."""
        assert self.table is not None
        self.table[..., DECAY] = (training.weight_decay * self._decays).view(np.int64)
        lr, norms = torch.tensor(lr_N, dtype=torch.float64), norm_N.double().contiguous()
        self._library.tn_adamw_each(
            self.table.ctypes.data, *self.table.shape[:2], goes_N.contiguous().data_ptr(), lr.data_ptr(),
            norms.data_ptr(), training.clip, *betas, epsilon,
        )  # fmt: skip


def _clipped(library: Any, gradients: Sequence[Tensor], largest: float) -> float:
    table = np.zeros((len(gradients), 7), np.int64)
    table[:, GRADIENT] = [g.data_ptr() for g in gradients]
    table[:, SIZE] = [g.numel() for g in gradients]
    norm: float = library.tn_norm(table.ctypes.data, len(table))
    if norm + 1e-6 > largest:
        library.tn_scale(table.ctypes.data, len(table), largest / (norm + 1e-6))
    return norm
