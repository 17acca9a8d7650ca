"""RobustDARTS: understanding and robustifying differentiable architecture search (Zela et al., ICLR 2020, 1909.09656).

    mixture   as DARTS
    measure   the largest eigenvalue of d2 L_valid(w, a) / da2, every second epoch            sec. 4.2
    stop      when its local average has risen by 1.3 over four measurements; the alphas
              of before the rise are kept                                                     sec. 4.3, DARTS-ES
    L2        more weight decay on the weights flattens the minimum: `training.weight_decay`  sec. 5, R-DARTS(L2)

Departures: AdamW, first order; the rule is the authors' code's (`parts/early_stop.py`); no restart with more decay
(DARTS-ADA).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tradenas.errors import ConfigError
from tradenas.nn import Network
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.early_stop import Stop, eigenvalue_stop
from tradenas.search.parts.learner import AlphaState, Learner

__all__ = ["RobustDARTS"]


@METHODS.register("robust_darts")
@dataclass(frozen=True, kw_only=True)
class RobustDARTS(Differentiable):
    """DARTS that ends when the loss becomes sharp in the alphas.

    Attributes:
        eigenvalue_every: epochs from one measurement of the curvature to the next.
        rise: ratio of local averages that ends the search.
        not_before: no earlier epoch's alphas are kept.
    """

    citation: ClassVar[str] = (
        "@inproceedings{zela2020understanding, title={Understanding and Robustifying Differentiable Architecture "
        "Search},\n  author={Zela, Arber and Elsken, Thomas and Saikia, Tonmoy and Marrakchi, Yassine and Brox, Thomas "
        "and Hutter, Frank},\n  booktitle={ICLR}, year={2020}}"
    )

    kind: Literal["robust_darts"] = "robust_darts"
    eigenvalue_every: int = 2
    rise: float = 1.3
    not_before: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eigenvalue_every < 1:
            raise ConfigError(
                "search.eigenvalue_every", got=self.eigenvalue_every, expected="1 or more: it stops by it"
            )
        if not self.rise > 1.0:
            raise ConfigError("search.rise", got=self.rise, expected="a ratio above 1")
        if self.not_before < 0:
            raise ConfigError("search.not_before", got=self.not_before, expected="0 or more")

    def stop_rule(self, task: Task, state: AlphaState, learner: Learner, network: Network, epoch: int) -> Stop | None:  # noqa: ARG002
        if epoch % self.eigenvalue_every or not learner.measured:
            return None
        epochs, values = zip(*learner.measured, strict=True)
        return eigenvalue_stop(epochs, values, ratio=self.rise, not_before=self.not_before)
