"""DARTS: Differentiable Architecture Search (Liu et al., ICLR 2019, arXiv:1806.09055).

    mixture    o(x) = sum_o softmax(alpha)_o o(x) on every edge                            eq. 2
    alphas     a <- a - lr dL_valid(w - xi dL_train(w, a)/dw, a)/da; xi = 0: first order   algorithm 1, eq. 5-8
    weights    w <- w - lr dL_train(w, a)/dw, on other rows, after the alpha step          algorithm 1
    end        the op with the largest weight but `zero`, the two strongest ways a node    sec. 2.4

`order = 2` needs `optimizer_kind = "sgd"`, whose next step is the one that is unrolled, momentum and decay included.

Departures: train and valid rows are consecutive in time with a purge between, not a random half each; the product with
the Hessian is exact by default (finite differences are off by half where ReLUs switch: `parts/bilevel.py`); AdamW and
order 1 by default; a temperature may anneal; every choice is relaxed, inputs and widths too, where several are on
offer; one type of cell, as series are not pooled; candidates near the chosen one are scored beside it, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tradenas.errors import ConfigError
from tradenas.search.base import METHODS
from tradenas.search.parts.differentiable import Differentiable

__all__ = ["DARTS"]


@METHODS.register("darts")
@dataclass(frozen=True, kw_only=True)
class DARTS(Differentiable):
    """Softmax over the options of every choice.

    Attributes:
        order: 1 takes the weights as given, 2 looks through their next step at two to three times the price.
        hessian: of order 2: `exact`, or `finite` differences as the authors' code has them.
    """

    citation: ClassVar[str] = (
        "@inproceedings{liu2019darts, title={DARTS: Differentiable Architecture Search},\n"
        "  author={Liu, Hanxiao and Simonyan, Karen and Yang, Yiming}, booktitle={ICLR}, year={2019}}"
    )

    kind: Literal["darts"] = "darts"
    order: Literal[1, 2] = 1
    hessian: Literal["exact", "finite"] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order == 2 and self.optimizer_kind != "sgd":
            raise ConfigError(
                "search.order",
                got=f"2 with optimizer_kind {self.optimizer_kind!r}",
                expected='optimizer_kind = "sgd", whose step can be unrolled',
            )

    @property
    def unrolled(self) -> bool:
        return self.order == 2

    @property
    def product(self) -> Literal["finite", "exact"]:
        return self.hessian
