"""P-DARTS: progressive differentiable architecture search (Chen et al., ICCV 2019, arXiv:1904.12760).

    stages     more cells and fewer ops an edge: 5, 11, 17 cells with 8, 5, 3 ops; weights and alphas   sec. 3.2
               begin anew in each
    between    of every edge the ops with the smallest softmax(alpha) are dropped                       sec. 3.2
    freeze     alphas rest in the first 10 of a stage's 25 epochs                                       sec. 4.2
    dropout    behind every skip, at 0, 0.4, 0.7 in the first epoch of a stage; while alphas rest it    sec. 3.3
               falls as (E - e - 1) / E, afterwards from the start again as exp(-0.2 (e - 10))
    end        `zero` is dropped; while the cell has more than 2 skips, the weight of the weakest is    sec. 3.3
               set to 0 and ops and ways in are chosen anew

Numbers are those of the authors' code (chenxin061/pdarts), the rates of dropout those of the paper.

Departures: depths are those that the space offers, from the smallest to the largest; a layer that a deeper chain adds
begins with all its ops; shares of epochs and of ops instead of numbers, no fewer than two ops, the exponent being
-5 (e - f) / E; whole channels are dropped; AdamW; first order, as there; gradients of alphas are not clipped, as Adam
divides by their size.  `training.epochs` are those of all stages together.  Several supernets learn side by side and
drop ops by their mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from tradenas.errors import ConfigError
from tradenas.nn import Network
from tradenas.nn.activations import channel_dropout
from tradenas.nn.elastic import Width
from tradenas.nn.mixture import Weighting
from tradenas.nn.slot import Branch, Branches, Mix, weighted_sum
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.affordable import with_one_that_fits
from tradenas.search.parts.bilevel import Tensors
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.learner import Alphas, AlphaState
from tradenas.search.parts.readout import discretised
from tradenas.search.parts.relaxation import strongest
from tradenas.search.parts.sizes import is_op
from tradenas.search.parts.supernet import SupernetState
from tradenas.seeds import seed_for
from tradenas.space import Architecture, Option, SearchSpace
from tradenas.train.loop import Plan

__all__ = ["PDARTS", "SkipDropout", "restrained", "skips_of"]


class SkipDropout:
    """A mixture whose skips lose channels at `rate` while it is trained."""

    def __init__(self) -> None:
        self.rate = 0.0

    def __call__(self, branch: Branch, x_BTC: Tensor, which: Weighting, width: Width) -> Tensor:
        assert isinstance(branch, Branches)

        def dropped(option: int, x_BTC: Tensor, width: Width) -> Tensor:
            y_BTC = branch(option, x_BTC, width)
            return channel_dropout(y_BTC, self.rate, branch.mode) if branch.name(option) == "skip" else y_BTC

        return weighted_sum(dropped, x_BTC, which, width)


def skips_of(architecture: Architecture) -> list[str]:
    """The choices that took `skip`: edges that are taken, or layers."""
    return [name for name, picked in architecture.items() if name.endswith("/op") and picked == "skip"]


def restrained(space: SearchSpace, weights: Tensors, *, most: int) -> Architecture:
    """What weights stand for, with `most` skips at most: the weakest loses its weight, and all is chosen anew.

    An edge that offers nothing else, or only `zero`, keeps its skip.
    """
    weights = dict(weights)
    while True:
        chosen = discretised(space, weights)
        free = [name for name in skips_of(chosen) if name in weights]
        at = {name: space[name].options.index("skip") for name in free}
        free = [name for name in free if float(weights[name][at[name]]) > 0.0]
        if len(skips_of(chosen)) <= most or not free:
            return chosen
        weakest = min(free, key=lambda name: float(weights[name][at[name]]))
        weights[weakest] = weights[weakest].index_fill(
            0, torch.tensor(at[weakest], device=weights[weakest].device), 0.0
        )


class StagedState(AlphaState):
    """Supernets and alphas of the current stage; those of earlier stages are gone but for what they dropped.

    Attributes:
        stage: from 0.
    """

    def __init__(self, whole: SearchSpace, begin: Callable[[int, SearchSpace], AlphaState], first: SearchSpace) -> None:
        made = begin(0, first)
        super().__init__(first, made.networks, made.optimizers, made.learners)
        self.whole, self.begin, self.stage = whole, begin, 0

    def enter(self, stage: int, space: SearchSpace) -> None:
        """Fresh weights and alphas over what is left."""
        made = self.begin(stage, space)
        self.stage, self.space = stage, space
        self.networks, self.optimizers, self.learners = made.networks, made.optimizers, made.learners
        self.updates = made.updates

    def meta(self) -> dict[str, Any]:
        return super().meta() | {"stage": self.stage}

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        if int(meta["stage"]) != self.stage:
            self.enter(int(meta["stage"]), self.whole.restrict(meta["kept"]))
        super().restore(tensors, meta)


@METHODS.register("pdarts")
@dataclass(frozen=True, kw_only=True)
class PDARTS(Differentiable):
    """DARTS in stages: the depth comes nearer to that of the final network as ops are given up.

    Attributes:
        keep: share of the ops of an edge that each stage searches; as many stages as there are shares.
        skip_dropout: rate of dropout behind skips in the first epoch of each stage.
        max_skips: most skips in an architecture.
        alphas: resting in the first two fifths of each stage.
    """

    citation: ClassVar[str] = (
        "@inproceedings{chen2019progressive, title={Progressive Differentiable Architecture Search: Bridging the Depth "
        "Gap between Search and Evaluation},\n  author={Chen, Xin and Xie, Lingxi and Wu, Jun and Tian, Qi}, "
        "booktitle={ICCV}, year={2019}}"
    )

    kind: Literal["pdarts"] = "pdarts"
    alphas: Alphas = field(default_factory=lambda: Alphas(warm_up=0.4))
    keep: tuple[float, ...] = (1.0, 0.625, 0.375)
    skip_dropout: tuple[float, ...] = (0.0, 0.4, 0.7)
    max_skips: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        rising = list(self.keep) != sorted(self.keep, reverse=True)
        if not self.keep or rising or not all(0.0 < share <= 1.0 for share in self.keep):
            raise ConfigError("search.keep", got=str(list(self.keep)), expected="falling shares above 0, at most 1")
        if len(self.keep) > self.training.epochs:
            raise ConfigError(
                "search.keep",
                got=f"{len(self.keep)} stages",
                expected=f"at most search.training.epochs = {self.training.epochs}",
            )
        if len(self.skip_dropout) != len(self.keep) or not all(0.0 <= rate < 1.0 for rate in self.skip_dropout):
            raise ConfigError(
                "search.skip_dropout",
                got=str(list(self.skip_dropout)),
                expected=f"{len(self.keep)} rates from 0 up to but not with 1, one for each stage of search.keep",
            )
        if self.max_skips < 0:
            raise ConfigError("search.max_skips", got=self.max_skips, expected="0 or more")

    def mix(self) -> Mix:
        return SkipDropout()

    def ends(self) -> list[int]:
        """The epoch after the last of each stage.

        >>> from tradenas.train.loop import Optimisation
        >>> PDARTS(training=Optimisation(epochs=75)).ends()
        [25, 50, 75]
        """
        return [round((k + 1) * self.training.epochs / len(self.keep)) for k in range(len(self.keep))]

    def stage(self, at: int) -> PDARTS:
        """A stage by itself, which is a P-DARTS of one."""
        first, end = [0, *self.ends()][at : at + 2]
        return replace(
            self,
            training=replace(self.training, epochs=end - first),
            keep=(self.keep[at],),
            skip_dropout=(self.skip_dropout[at],),
        )

    def task_of(self, task: Task, at: int, space: SearchSpace) -> Task:
        """What a stage looks at: its own space, and in later stages other random numbers."""
        return replace(task, space=space, seed=task.seed if at == 0 else seed_for(task.seed, "stage", at))

    def left(self, space: SearchSpace, at: int) -> dict[str, list[Option]]:
        """The depth of a stage, of those on offer."""
        depth = space["cells" if "cells" in space else "depth"]
        last = len(depth.options) - 1
        return {depth.name: [depth.options[last if len(self.keep) == 1 else round(at * last / (len(self.keep) - 1))]]}

    def final(self, space: SearchSpace) -> SearchSpace:
        return space.restrict(self.left(space, len(self.keep) - 1))

    def init(self, task: Task) -> StagedState:
        self.check_budget(task, self.final(task.space))

        def begin(at: int, space: SearchSpace) -> AlphaState:
            return super(PDARTS, self).init(self.task_of(task, at, space))

        return StagedState(task.space, begin, task.space.restrict(self.left(task.space, 0)))

    def warnings(self, task: Task, state: SupernetState) -> list[str]:
        """Of the first stage, which is as long as the others."""
        return super(PDARTS, self.stage(0)).warnings(self.task_of(task, 0, state.space), state)

    def epoch(self, task: Task, state: SupernetState, epoch: int) -> dict[str, float]:
        """An epoch of one supernet after the other; after the last one's, perhaps the end of a stage."""
        assert isinstance(state, StagedState)
        within, supernet = divmod(epoch, self.supernets)
        if within >= self.training.epochs:
            return self.look(task, state, epoch - self.supernets * self.training.epochs)
        starts = [0, *self.ends()]
        at = state.stage
        log = self.stage(at).train(self.task_of(task, at, state.space), state, within - starts[at], supernet)
        if supernet == self.supernets - 1 and within + 1 in self.ends()[:-1]:
            left = self.dropped(task.space, state, at + 1)
            left = with_one_that_fits(
                task.space.restrict(self.left(task.space, at + 1)), left, self.prices(task, state)
            )
            for past, learner in zip(state.past, state.learners, strict=True):
                past.append(self.account(state.space, learner))
            state.enter(at + 1, task.space.restrict(left))
        return log | {"search_stage": float(at)}

    def dropped(self, whole: SearchSpace, state: StagedState, at: int) -> dict[str, list[Option]]:
        """The options that the next stage has: of every op the strongest, by the mean of the supernets' weights."""
        left: dict[str, list[Option]] = {c.name: list(c.options) for c in state.space.choices}
        each = [self.strengths(learner.now()) for learner in state.learners]
        for choice in (c for c in self.learnt(state.space) if is_op(c)):
            weights = torch.stack([weights[choice.name] for weights in each]).mean(0)
            count = max(2, int(self.keep[at] * len(whole[choice.name].options) + 0.5))  # alphas weigh ways in too
            left[choice.name] = [choice.options[i] for i in strongest(weights, count)]
        return left | self.left(whole, at)

    def plan(self, task: Task, state: SupernetState, network: Network, *, epoch: int, seed: int) -> Plan:
        assert isinstance(network.mix, SkipDropout)
        network.mix.rate = self.skip_rate(epoch)
        return super().plan(task, state, network, epoch=epoch, seed=seed)

    def skip_rate(self, epoch: int) -> float:
        """The rate of dropout behind skips in an epoch of the last stage.

        >>> from tradenas.train.loop import Optimisation
        >>> last = PDARTS(training=Optimisation(epochs=75)).stage(2)
        >>> [round(last.skip_rate(e), 4) for e in (0, 9, 10, 11, 24)]
        [0.672, 0.42, 0.7, 0.5731, 0.0426]
        """
        rate, epochs = self.skip_dropout[-1], self.training.epochs
        resting = round(self.alphas.warm_up * epochs)
        if epoch < resting:
            return rate * (epochs - epoch - 1) / epochs
        return rate * math.exp(-5.0 * (epoch - resting) / epochs)

    def chosen(self, space: SearchSpace, alphas: Tensors) -> Architecture:
        weights = self.strengths(alphas)
        for name, own in weights.items():
            options = space[name].options
            if "zero" in options:
                weights[name] = own.index_fill(0, torch.tensor(options.index("zero"), device=own.device), -1.0)
        return restrained(space, weights, most=self.max_skips)

    def allows(self, state: SupernetState, architecture: Architecture) -> bool:
        assert isinstance(state, StagedState)
        least = min(len(skips_of(self.stands_for(state.space, learner))) for learner in state.learners)
        return super().allows(state, architecture) and len(skips_of(architecture)) <= max(self.max_skips, least)
