"""How weights are moved once their gradients are there: clipped, then by AdamW, in as few calls as can be.

A supernet has hundreds of tensors and a step reaches a few of them, so what a step costs here is calls, not
arithmetic: `torch.nn.utils.clip_grad_norm_` and the unfused AdamW took a fifth of a step of a path 16 wide
(docs/results/speed.md).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["adamw", "clipped", "forget"]


def adamw(
    groups: Iterable[tuple[list[nn.Parameter], float]], *, lr: float, betas: tuple[float, float]
) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) over groups of weights with their decays, in one call."""
    made = [{"params": weights, "weight_decay": decay} for weights, decay in groups if weights]
    return torch.optim.AdamW(made, lr=lr, betas=betas, fused=True)


def forget(weights: Iterable[Tensor]) -> None:
    """No gradients; what `zero_grad` does with a tenth of its calls."""
    for weight in weights:
        weight.grad = None


def clipped(weights: Iterable[Tensor], largest: float) -> float:
    """Scales the gradients so that their norm over all weights is at most `largest`; returns what it was.

    Gradients that are within it are not touched; the bits are those of `torch.nn.utils.clip_grad_norm_`.

    >>> weight = torch.zeros(2, requires_grad=True)
    >>> (weight @ torch.tensor([3.0, 4.0])).backward()
    >>> clipped([weight], 1.0), [round(g, 5) for g in weight.grad.tolist()]
    (5.0, [0.6, 0.8])
    """
    gradients = [w.grad for w in weights if w.grad is not None]
    if not gradients:
        return 0.0
    norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
    if norm + 1e-6 > largest:
        torch._foreach_mul_(gradients, largest / (norm + 1e-6))
    return norm
