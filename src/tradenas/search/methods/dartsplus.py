"""DARTS+: improved differentiable architecture search with early stopping (Liang et al. 2019, arXiv:1909.06035).

    mixture   as DARTS
    stop      when the discretised cell has two skips or more                                criterion 1
              or when the order of the ops that learn has been the same for ten epochs       criterion 2
    end       the architecture at the stop

Departures: AdamW, first order; either criterion stops; none does in the first epochs, in which the order of alphas is
still that of their random start; skips are counted on the edges that the discretised cell takes, in a chain on layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tradenas.errors import ConfigError
from tradenas.nn import Network
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.early_stop import Stop, ranking, ranking_stop, skip_stop
from tradenas.search.parts.learner import AlphaState, Learner
from tradenas.space import WEIGHTLESS

__all__ = ["DARTSPlus"]


@METHODS.register("dartsplus")
@dataclass(frozen=True, kw_only=True)
class DARTSPlus(Differentiable):
    """DARTS that ends before skips take over.

    Attributes:
        max_skips: skips in the architecture that end the search.
        patience: epochs with one order of the ops that end it.
        not_before: epochs without a stop.
    """

    citation: ClassVar[str] = (
        "@article{liang2019darts+, title={{DARTS+}: Improved Differentiable Architecture Search with Early Stopping},\n"
        "  author={Liang, Hanwen and Zhang, Shifeng and Sun, Jiacheng and He, Xingqiu and Huang, Weiran and Zhuang, "
        "Kechen and\n  Li, Zhenguo}, journal={arXiv:1909.06035}, year={2019}}"
    )

    kind: Literal["dartsplus"] = "dartsplus"
    max_skips: int = 2
    patience: int = 10
    not_before: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, low in (("max_skips", 1), ("patience", 2), ("not_before", 0)):
            if getattr(self, name) < low:
                raise ConfigError(f"search.{name}", got=getattr(self, name), expected=f"{low} or more")

    def stop_rule(self, task: Task, state: AlphaState, learner: Learner, network: Network, epoch: int) -> Stop | None:  # noqa: ARG002
        begin = max(self.not_before, round(self.alphas.warm_up * self.training.epochs))
        trail = learner.trail[begin:]
        chosen = [self.chosen(state.space, alphas) for alphas in trail]
        skips = [sum(p == "skip" for n, p in a.items() if n.endswith("/op")) for a in chosen]
        options = {c.name: c.options for c in state.space.choices if c.name.endswith("/op")}
        orders = [
            ranking({n: a for n, a in alphas.items() if n in options}, options, weightless=WEIGHTLESS)
            for alphas in trail
        ]
        found = skip_stop(skips, limit=self.max_skips) or ranking_stop(orders, patience=self.patience)
        return found and Stop(at=found.at + begin, keep=found.keep + begin, why=found.why)
