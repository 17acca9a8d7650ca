"""RobustDARTS: understanding and robustifying differentiable architecture search (Zela et al., ICLR 2020, 1909.09656).

    mixture     as DARTS
    measure     the largest eigenvalue of d2 L_valid(w, a) / da2, every second epoch                sec. 4.2
    rule
      es        stop when its local average has risen by 1.3 over four measurements; the alphas     sec. 4.3, DARTS-ES
                of before the rise are kept
      ada       roll back to there, weights and all, and go on with ten times the weight decay;     sec. 5.3, DARTS-ADA
                stop as `es` does where that would be above 100 times what it was (0.03)
      none      go on to the end
    l2          more weight decay on the weights, 3, 9 or 27 times, flattens the minimum            sec. 5, R-DARTS(L2)

Departures: AdamW, whose decay is decoupled, unless `optimizer_kind` says otherwise; first order; when to stop is taken
from the authors' code (`parts/early_stop.py`).  Of R-DARTS(L2) one factor at a time: the authors take the best of four
searches by training briefly what each finds.  Epochs that are rolled back are spent, the learning rate goes on from
where it is, and what was measured before a roll-back is not compared with what comes after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from tradenas.errors import ConfigError
from tradenas.nn import Network
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.early_stop import Stop, eigenvalue_stop
from tradenas.search.parts.learner import AlphaState, Learner
from tradenas.search.parts.supernet import SupernetState, set_moments, under

__all__ = ["RobustDARTS"]


#: DARTS-ADA: what multiplies the weight decay, and the most that it may be in multiples of the first (3e-4 to 0.03).
TIMES, MOST = 10.0, 100.0
#: What a supernet and its alphas are, by the names of `AlphaState.tensors`.
PARTS = ("weight", "optimizer", "alpha", "alpha_optimizer")
#: From an epoch that is kept to the one that knows it: measurements, both included (`eigenvalue_stop`).
REMEMBERED = 7


def _regularise(optimizer: torch.optim.Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["weight_decay"] *= factor


class RolledBack(AlphaState):
    """A search that can be taken back to one of its last epochs.

    Attributes:
        kept: of each supernet, by epoch: its weights, alphas and the moments of both.
        since: of each supernet the first epoch after its last roll-back.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.kept: list[dict[int, dict[str, Tensor]]] = [{} for _ in self.networks]
        self.since = [0 for _ in self.networks]

    def take(self, at: int, epoch: int) -> None:
        """Remembers an epoch that was measured, and forgets those that no stop can name any more."""
        measured = [e for e, _ in self.learners[at].measured if e >= self.since[at]]
        if measured and measured[-1] == epoch:
            own = tuple(f"{part}/{at}/" for part in PARTS)
            self.kept[at][epoch] = {n: t.detach().clone() for n, t in super().tensors().items() if n.startswith(own)}
        self.kept[at] = {e: kept for e, kept in self.kept[at].items() if e in measured[-REMEMBERED:]}

    def go_back(self, at: int, *, to: int, since: int) -> None:
        """Weights, alphas and moments of an epoch, as if nothing had come after it."""
        kept, learner = self.kept[at][to], self.learners[at]
        self.networks[at].load_state_dict(under(kept, f"weight/{at}/"))
        with torch.no_grad():
            for name, alpha in learner.alphas.items():
                alpha.copy_(kept[f"alpha/{at}/{name}"])
        for optimizer, prefix in ((self.optimizers[at], "optimizer"), (learner.optimizer, "alpha_optimizer")):
            set_moments(optimizer, under(kept, f"{prefix}/{at}/"), optimizer.state_dict()["param_groups"])
        learner.stopped, self.since[at], self.kept[at] = None, since, {}

    def tensors(self) -> dict[str, Tensor]:
        found = super().tensors()
        for i, epochs in enumerate(self.kept):
            for epoch, kept in epochs.items():
                found |= {f"kept/{i}/{epoch}/{name}": tensor for name, tensor in kept.items()}
        return found

    def meta(self) -> dict[str, Any]:
        return super().meta() | {"since": self.since}

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        super().restore(tensors, meta)
        self.since = [int(epoch) for epoch in meta["since"]]
        for i in range(len(self.networks)):
            kept: dict[int, dict[str, Tensor]] = {}
            for name, tensor in under(tensors, f"kept/{i}/").items():
                epoch, _, own = name.partition("/")
                kept.setdefault(int(epoch), {})[own] = tensor
            self.kept[i] = dict(sorted(kept.items()))


@METHODS.register("robust_darts")
@dataclass(frozen=True, kw_only=True)
class RobustDARTS(Differentiable):
    """DARTS that ends when the loss becomes sharp in the alphas, or that keeps it flat.

    Attributes:
        rule: what a rise of the curvature does: `es` stops the search, `ada` rolls it back and regularises more, `none`
            lets it be.
        l2: weight decay of the weights, in multiples of `training.weight_decay`, at the start.
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
    rule: Literal["es", "ada", "none"] = "es"
    l2: float = 1.0
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
        if not 0.0 < self.l2 <= MOST:
            raise ConfigError("search.l2", got=self.l2, expected=f"a factor above 0, at most {MOST:g}")
        if self.training.weight_decay == 0.0 and (self.rule == "ada" or self.l2 != 1.0):
            raise ConfigError(
                "search.training.weight_decay",
                got=0.0,
                expected="a number above 0, of which search.l2 and search.rule take multiples",
            )

    def optimizer(self, network: Network) -> torch.optim.Optimizer:
        optimizer = super().optimizer(network)
        _regularise(optimizer, self.l2)
        return optimizer

    def init(self, task: Task) -> AlphaState:
        state = super().init(task)
        return (
            RolledBack(state.space, state.networks, state.optimizers, state.learners) if self.rule == "ada" else state
        )

    def stop_rule(self, task: Task, state: AlphaState, learner: Learner, network: Network, epoch: int) -> Stop | None:  # noqa: ARG002
        if epoch % self.eigenvalue_every or self.rule == "none":
            return None
        since = state.since[state.learners.index(learner)] if isinstance(state, RolledBack) else 0
        measured = [(at, value) for at, value in learner.measured if at >= since]
        if not measured:
            return None
        epochs, values = zip(*measured, strict=True)
        return eigenvalue_stop(epochs, values, ratio=self.rise, not_before=self.not_before)

    def train(self, task: Task, state: SupernetState, epoch: int, supernet: int = 0) -> dict[str, float]:
        log = super().train(task, state, epoch, supernet)
        if not isinstance(state, RolledBack) or "stopped" in log:
            return log
        state.take(supernet, epoch)
        stop, decay = state.learners[supernet].stopped, self.decay_of(state.optimizers[supernet])
        if stop is not None and TIMES * decay <= MOST * (1.0 + 1e-9):
            state.go_back(supernet, to=stop.keep, since=epoch + 1)
            _regularise(state.optimizers[supernet], TIMES)
            log["rolled_back"] = float(stop.keep)
        return log | {"l2": self.decay_of(state.optimizers[supernet])}

    def decay_of(self, optimizer: torch.optim.Optimizer) -> float:
        """The current weight decay, in multiples of `training.weight_decay`."""
        return max(float(group["weight_decay"]) for group in optimizer.param_groups) / self.training.weight_decay
