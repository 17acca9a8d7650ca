"""MnasNet: platform-aware search by a controller (Tan et al., CVPR 2019, arXiv:1807.11626).

    reward    Q(m) * (LAT(m) / T)^w                                                  eq. 2, `parts/reward.py`
    w         alpha where LAT(m) <= T, beta otherwise: (-0.07, -0.07) is soft,       eq. 3
              (0, -1) hard
    loop      sample a batch from an RNN, train and measure each, update by PPO      sec. 4.3, `parts/proximal.py`
    end       what was trained, best reward first                                    sec. 4.3

Every architecture is trained alone from fresh weights, as in the paper, where a supernet would be ENAS; its score is
one trial, and one that is drawn again is not trained again.  -0.07 stands for 5 % more accuracy being worth twice the
latency: 1.05 = 2^0.0704.

Departures: a Sharpe ratio or an IC may be negative, which turns a product round, so that quality becomes a positive
number first (`exp(quality / scale)`) and the controller is rewarded with the log of the product: the same order, and no
single draw outweighs a batch.  Any cost with a name stands for latency, and several may be multiplied; a target that
is not given is the budget's limit, or else the median of what the space holds.  Draws beyond a budget are mended before
they are trained.  The space is the study's, not the paper's factorised one; the log of a baseline instead of a value
network (`parts/proximal.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from tradenas.cost import Exponent, PriceList
from tradenas.errors import ConfigError
from tradenas.search.base import METHODS, Candidate, Task
from tradenas.search.parts.affordable import affordable, best_first
from tradenas.search.parts.controller import Controller, Policy
from tradenas.search.parts.drawn import Drawn
from tradenas.search.parts.proximal import Proximal
from tradenas.search.parts.reward import worth
from tradenas.search.parts.standalone import Standalone, StandaloneState
from tradenas.search.parts.supernet import moments_of, set_moments, under
from tradenas.seeds import rng_for
from tradenas.space import Architecture

__all__ = ["MnasNet"]

#: Batches in a row that bring nothing new, after which the controller is taken to have settled.
SETTLED = 50
#: Architectures that the controller draws side by side, which is quicker than one by one.
BLOCK = 32
#: Architectures of which the median cost is the target where nobody names one.
DRAWS = 101


class MnasState(StandaloneState):
    """What was trained, the batch that is being trained, and the controller that waits for its rewards."""

    def __init__(self, learner: Proximal, task: Task) -> None:
        super().__init__()
        self.learner, self.task = learner, task
        self.batch, self.settled = 0, False

    def tensors(self) -> dict[str, Tensor]:
        controller = {f"controller/{n}": t for n, t in self.learner.controller.state_dict().items()}
        return controller | moments_of(self.learner.optimizer, "policy/")

    def meta(self) -> dict[str, Any]:
        return super().meta() | {"batch": self.batch, "settled": self.settled, "baseline": self.learner.baseline}

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        super().restore(tensors, meta)
        self.learner.controller.load_state_dict(under(tensors, "controller/"))
        groups = self.learner.optimizer.state_dict()["param_groups"]  # which are settings
        set_moments(self.learner.optimizer, under(tensors, "policy/"), groups)
        self.batch, self.settled, self.learner.baseline = meta["batch"], meta["settled"], meta["baseline"]


@METHODS.register("mnasnet")
@dataclass(frozen=True, kw_only=True)
class MnasNet(Standalone):
    """A controller draws, each draw is trained alone, and quality times a power of its cost is the reward.

    Dear: the paper trained 8,000 networks.  On a table of scores where one option of three mattered, the controller
    drew it nearly always after 160 networks, and after 96 in two of six runs hardly more often than by chance.

    Attributes:
        controller: what draws; of a batch of `samples` it takes `steps` gradient steps.
        clip: how far from 1 the ratio of new to old chances may go and still gain (PPO).
        exponents: what costs are worth in the reward, unless the study's budget says so; none for quality alone.
    """

    citation: ClassVar[str] = (
        "@inproceedings{tan2019mnasnet, title={{MnasNet}: Platform-Aware Neural Architecture Search for Mobile},\n"
        "  author={Tan, Mingxing and Chen, Bo and Pang, Ruoming and Vasudevan, Vijay and Sandler, Mark and Howard, "
        "Andrew and Le, Quoc V.},\n  booktitle={CVPR}, year={2019}}"
    )

    kind: Literal["mnasnet"] = "mnasnet"
    num_trained: int = 60
    controller: Policy = field(
        default_factory=lambda: Policy(lr=1e-2, steps=4, samples=6, decay=0.9, entropy_weight=0.05)
    )
    clip: float = 0.2
    exponents: tuple[Exponent, ...] = (Exponent(cost="macs"),)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.clip < 1.0:
            raise ConfigError("search.clip", got=self.clip, expected="above 0, below 1")

    def weighs(self) -> tuple[str, ...]:
        return tuple(e.cost for e in self.exponents)

    def init(self, task: Task) -> MnasState:
        controller = Controller(task.space, self.controller, seed=task.seed)
        return MnasState(Proximal(controller, clip=self.clip), replace(task, prices=self.prices(task)))

    def prices(self, task: Task) -> PriceList:
        """What is rewarded: the study's exponents, or else these with a target each."""
        prices = task.price_list()
        if prices.exponents:
            return prices
        rng = rng_for(task.seed, "mnasnet", "targets")
        drawn = [task.space.sample(rng) for _ in range(DRAWS)]

        def target(e: Exponent) -> float:
            prices.require([e.cost], place="search.exponents")
            median = float(np.median([prices.one(e.cost, a) for a in drawn]))
            return e.target or prices.limits.get(e.cost, 0.0) or max(median, 1.0)

        return replace(prices, exponents=tuple(replace(e, target=target(e)) for e in self.exponents))

    def wanted(self, task: Task) -> list[Architecture]:
        """The first batch; what follows depends on what it is worth."""
        return self.draw(self.init(task))

    def draw(self, state: MnasState) -> list[Architecture]:
        """The next batch, in the order in which it was drawn; the same one may be in it twice."""
        task = state.task
        drawn = affordable(Drawn(task.space, [partial(state.learner.controller.draw, BLOCK)]), task.prices)
        rng = rng_for(task.seed, "mnasnet", state.batch)
        return [drawn.sample(rng) for _ in range(self.controller.samples)]

    def epoch(self, task: Task, state: StandaloneState, epoch: int) -> dict[str, float]:  # noqa: ARG002
        """Trains the next architecture that the controller wants; one that was drawn before it does not train again."""
        assert isinstance(state, MnasState)
        log: dict[str, float] = {}
        known = {c.architecture: worth(state.task, c.architecture, c.scores) for c in state.scored}
        for _ in range(0 if state.settled else SETTLED):
            for architecture in state.wanted or []:
                if architecture not in known:
                    return log | self.tried(state.task, state, architecture)
            if state.wanted is not None:
                log = state.learner.update(state.wanted, [known[a] for a in state.wanted]) or log
                state.batch += 1
            state.wanted = self.draw(state)
        state.settled = True
        return log | {"scored": float(len(state.scored))}

    def finish(self, task: Task, state: StandaloneState) -> list[Candidate]:  # noqa: ARG002
        assert isinstance(state, MnasState)
        return best_first(state.task, state.scored)
