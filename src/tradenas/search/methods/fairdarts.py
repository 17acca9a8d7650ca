"""Fair DARTS (Chu et al., ECCV 2020, arXiv:1911.12126).

    mixture    o(x) = sum_o sigmoid(alpha_o) o(x): no op gains by another's loss           eq. 1
    alphas     L_valid + w01 * L01,  L01 = -mean (sigmoid(alpha) - 1/2)^2                  eq. 2-3
    end        ops with sigmoid(alpha) at or above 0.85, at most two ways a node           sec. 4.2

Departures: only ops are gated, other choices (inputs, widths) stay softmax; first order; a node always takes its ways
in, and one whose ops all stay below the threshold becomes `zero` where that is on offer, which prunes it; there is no
threshold outside of cells, where an op must run; w01 is 0.1, not 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from tradenas.errors import ConfigError
from tradenas.search.base import METHODS
from tradenas.search.parts.bilevel import Tensors
from tradenas.search.parts.diagnosis import entropy, gate_entropy
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.learner import Alphas
from tradenas.search.parts.relaxation import discretise, edge_strengths, sigmoid, softmax, zero_one_loss
from tradenas.space import Architecture, SearchSpace

__all__ = ["FairDARTS"]


def _ops(alphas: Tensors, *, ops: bool) -> dict[str, Tensor]:
    return {name: alpha for name, alpha in alphas.items() if name.endswith("/op") == ops}


@METHODS.register("fairdarts")
@dataclass(frozen=True, kw_only=True)
class FairDARTS(Differentiable):
    """Independent gates for the ops, pushed to 0 or 1.

    Attributes:
        zero_one: weight of the loss that pushes gates to 0 or 1 (w01).  The paper's 10 belongs to a loss of several
            nats; where a signal explains a few percent of a loss of 1, it has the first steps decide by chance: it
            found a planted op in 2 of 10 worlds, 0.1 in 7 and in 10 (docs/results.md).  The price is that gates
            stay nearer to 1/2, and more of them below the threshold.
        threshold: gate from which on an op of a cell is kept.
        alphas: from 0, so that every gate begins half open.
    """

    citation: ClassVar[str] = (
        "@inproceedings{chu2020fair, title={Fair DARTS: Eliminating Unfair Advantages in Differentiable Architecture "
        "Search},\n  author={Chu, Xiangxiang and Zhou, Tianbao and Zhang, Bo and Li, Jixiang}, booktitle={ECCV}, "
        "year={2020}}"
    )

    kind: Literal["fairdarts"] = "fairdarts"
    alphas: Alphas = field(default_factory=lambda: Alphas(beta1=0.9, scale=0.0))
    zero_one: float = 0.1
    threshold: float = 0.85

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.zero_one < 0:
            raise ConfigError("search.zero_one", got=self.zero_one, expected="0 or more")
        if not 0.0 < self.threshold < 1.0:
            raise ConfigError("search.threshold", got=self.threshold, expected="between 0 and 1")

    def relax(self, alphas: Tensors, *, epoch: int, seed: int | None) -> Mapping[str, Tensor]:  # noqa: ARG002
        return self.strengths(alphas)

    def strengths(self, alphas: Tensors) -> dict[str, Tensor]:
        return sigmoid(_ops(alphas, ops=True)) | softmax(_ops(alphas, ops=False))

    def entropies(self, alphas: Tensors) -> dict[str, float]:
        weights = self.strengths(alphas)
        return {n: gate_entropy(w) if n.endswith("/op") else entropy(w) for n, w in weights.items()}

    def regulariser(self, alphas: Tensors) -> Tensor | None:
        gates = _ops(alphas, ops=True)
        return self.zero_one * zero_one_loss(gates) if gates and self.zero_one else None

    def chosen(self, space: SearchSpace, alphas: Tensors) -> Architecture:
        weights = self.strengths(alphas)
        ways = edge_strengths(space, weights, leave_out=("zero",))
        for name, gates in weights.items():
            options = space[name].options
            if name.startswith("cell/edge") and "zero" in options:
                zero = options.index("zero")
                others = [i for i in range(len(options)) if i != zero]
                closed = not others or float(gates[others].max()) < self.threshold
                gates[zero] = 2.0 if closed else -1.0
        return discretise(space, weights | ways)
