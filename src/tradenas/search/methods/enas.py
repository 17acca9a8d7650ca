"""Efficient NAS by parameter sharing (Pham et al., ICML 2018, arXiv:1802.03268).

    train    an epoch of W on paths drawn from the controller, one path a step              sec. 2.2, first phase
    reward   score of drawn paths with the shared weights on validation rows                sec. 2.2, second phase
    policy   REINFORCE with a moving-average baseline, `steps` updates of `samples` paths   `parts/controller.py`
    derive   paths drawn from the trained controller, scored, the best kept                 sec. 2.2, deriving

A look at a reward is a trial: each distinct architecture of an epoch is scored once and counted once, in every epoch
anew, because its weights are others.  With the defaults a search counts up to epochs * steps * samples of them, on top
of `num_ranked`.

Departures: AdamW for SGD; the reward is the score on all validation rows, not on one batch of them, so it has no noise
of its own and all paths of an update are compared on the same rows; an architecture that is too large or failed
gets the lowest reward of its update; candidates are distinct.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from tradenas.nn import Network
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.controller import Controller, Policy, Reinforce
from tradenas.search.parts.drawn import Drawn
from tradenas.search.parts.find import Finder
from tradenas.search.parts.oneshot import OneShot, path_of
from tradenas.search.parts.reward import worth
from tradenas.search.parts.supernet import SupernetState, moments_of, set_moments, under
from tradenas.search.parts.uniform import Uniform
from tradenas.seeds import rng_for
from tradenas.space import Architecture, SearchSpace
from tradenas.train.loop import Pass, Plan

__all__ = ["ENAS"]

#: Paths that are drawn side by side, which is quicker than one by one.
BLOCK = 32


class EnasState(SupernetState):
    """Shared weights, and for each supernet the controller that learns from it."""

    def __init__(
        self,
        space: SearchSpace,
        networks: Sequence[Network],
        optimizers: Sequence[torch.optim.Optimizer],
        learners: Sequence[Reinforce],
    ) -> None:
        super().__init__(space, networks, optimizers)
        self.learners = list(learners)

    def tensors(self) -> dict[str, Tensor]:
        found = super().tensors()
        for i, learner in enumerate(self.learners):
            found |= {f"controller/{i}/{n}": t for n, t in learner.controller.state_dict().items()}
            found |= moments_of(learner.optimizer, f"policy/{i}/")
        return found

    def meta(self) -> dict[str, Any]:
        return super().meta() | {"baselines": [learner.baseline for learner in self.learners]}

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        super().restore(tensors, meta)
        for i, learner in enumerate(self.learners):
            learner.controller.load_state_dict(under(tensors, f"controller/{i}/"))
            groups = learner.optimizer.state_dict()["param_groups"]  # which are settings
            set_moments(learner.optimizer, under(tensors, f"policy/{i}/"), groups)
            learner.baseline = meta["baselines"][i]

    def learner(self, network: Network) -> Reinforce:
        """That of one supernet."""
        return self.learners[self.networks.index(network)]


@METHODS.register("enas")
@dataclass(frozen=True, kw_only=True)
class ENAS(OneShot):
    """Trains paths that a controller draws, and the controller on how those paths score, in turns.

    Attributes:
        find: which architectures are scored once both are trained, with the controller in the place of uniform draws:
            `random` is the paper's; `evolution` begins with the controller's and breeds from them.
    """

    citation: ClassVar[str] = (
        "@inproceedings{pham2018efficient, title={Efficient Neural Architecture Search via Parameter Sharing},\n"
        "  author={Pham, Hieu and Guan, Melody Y. and Zoph, Barret and Le, Quoc V. and Dean, Jeff}, booktitle={ICML},\n"
        "  year={2018}}"
    )

    kind: Literal["enas"] = "enas"
    find: Finder = field(default_factory=Uniform)
    controller: Policy = field(default_factory=Policy)

    def init(self, task: Task) -> EnasState:
        state = super().init(task)
        learners = [
            Reinforce(Controller(task.space, self.controller, seed=self.seed_of(task, i)))
            for i in range(self.supernets)
        ]
        return EnasState(state.space, state.networks, state.optimizers, learners)

    def plan(self, task: Task, state: SupernetState, network: Network, *, epoch: int, seed: int) -> Plan:  # noqa: ARG002
        assert isinstance(state, EnasState)
        controller = state.learner(network).controller
        blocks: dict[int, list[Architecture]] = {}

        def passes(step: int) -> Sequence[Pass]:
            block, within = divmod(step, BLOCK)
            if block not in blocks:
                blocks[block] = controller.draw(BLOCK, rng_for(seed, "paths", epoch, block))
            return [path_of(network, blocks[block][within])]

        return passes

    def train(self, task: Task, state: SupernetState, epoch: int, supernet: int = 0) -> dict[str, float]:
        """An epoch of one supernet, then one of its controller."""
        log = super().train(task, state, epoch, supernet)
        return log | self.learn(task, state, epoch, supernet)

    def learn(self, task: Task, state: SupernetState, epoch: int, supernet: int = 0) -> dict[str, float]:
        """The controller's updates after an epoch of its supernet, whose weights stay as they are."""
        network, seed = state.networks[supernet], self.seed_of(task, supernet)
        assert isinstance(state, EnasState)
        learner, looks, prices = state.learners[supernet], 0, self.prices(task, state)
        known: dict[Architecture, float] = {}
        log: dict[str, float] = {}
        for step in range(self.controller.steps):
            drawn = learner.controller.draw(self.controller.samples, rng_for(seed, "rewards", epoch, step))
            fresh = [a for a in dict.fromkeys(drawn) if a not in known]
            small = [a for a in fresh if prices.fits(a)]
            known |= dict.fromkeys(fresh, -math.inf)
            for c in task.scorer.paths([network], small, look=f"supernet {supernet}, epoch {epoch}"):
                known[c.architecture] = worth(task, c.architecture, c.scores)
            looks += len(small)
            log = learner.update(drawn, [known[a] for a in drawn]) or log
        return log | {"looks": float(looks)}

    def candidates_from(self, task: Task, state: SupernetState) -> SearchSpace:  # noqa: ARG002
        assert isinstance(state, EnasState)
        return Drawn(state.space, [partial(learner.controller.draw, BLOCK) for learner in state.learners])
