"""What every differentiable method shares: weights and alphas learn in turns, on rows that follow each other in time.

    mixture   every choice is a weighting of its options, made from alphas              `relax`
    step      alphas on a batch of the later rows, then weights on one of the earlier   `first_order`, `second_order`
    end       the strongest option of every choice; for a node the strongest ways in    `discretised`
              or those ops and ways whose absence costs the supernet most               `perturbation`
    look      that architecture and others drawn by the weightings, scored as paths     a `Finder`

A method is its `relax`, how it makes an architecture of alphas, and perhaps a `mix`, a penalty or a rule to stop.
Every choice with an alternative has alphas: ops, and inputs, widths and depths where several are on offer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from tradenas.errors import ConfigError, DivergedError
from tradenas.nn import Mixture, Network
from tradenas.nn.slot import Mix, weighted_sum
from tradenas.search.base import Candidate, Task
from tradenas.search.parts.bilevel import Tensors, WeightStep, first_order, network_loss, second_order
from tradenas.search.parts.captured import Captured
from tradenas.search.parts.curvature import dominant_eigenvalue
from tradenas.search.parts.diagnosis import account, entropy, told_of_ops
from tradenas.search.parts.drawn import Drawn, Source
from tradenas.search.parts.early_stop import Stop
from tradenas.search.parts.find import Finder
from tradenas.search.parts.learner import Alphas, AlphaState, Learner
from tradenas.search.parts.oneshot import OneShot
from tradenas.search.parts.penalty import Penalty
from tradenas.search.parts.perturbation import CITATION, Tuning, as_weights, due, in_order, needed
from tradenas.search.parts.readout import discretised, left_out, nearest_by, sampled
from tradenas.search.parts.relaxation import softmax
from tradenas.search.parts.supernet import SupernetState
from tradenas.search.parts.travel import check_alphas, check_travel
from tradenas.search.parts.uniform import Uniform
from tradenas.seeds import rng_for, seed_for
from tradenas.space import Architecture, Choice, Option, SearchSpace
from tradenas.splits import Fold, Span, holdout
from tradenas.train.evaluate import merit
from tradenas.train.loop import Pass, Plan, optimizer_for
from tradenas.train.loss import Objective
from tradenas.train.segments import Batch, Segments

__all__ = ["Differentiable"]


@dataclass(frozen=True, kw_only=True)
class Differentiable(OneShot):
    """Trains a mixture of all architectures, and the mixture itself, by gradients.

    Biased: the mixture is no architecture.  What it becomes when every choice is made is scored through the ledger,
    among neighbours, and trained from scratch in the end.

    Attributes:
        alphas: how the mixture learns.
        optimizer_kind: what moves the weights: `adamw` as everywhere here, or `sgd` as in the papers.
        momentum: of `sgd`.
        find: which architectures are scored in the end: `random` takes the one that the alphas choose, then draws by
            their weightings; `evolution` begins with these and breeds from them.
        num_ranked: architectures to score; 1 takes the alphas' own, as the papers do.
        eigenvalue_every: epochs from one measurement of how sharp the validation loss is in the alphas to the next, for
            the report; 0 measures nothing.  A measurement takes a dozen double backward passes over one batch.
        select: what becomes of alphas: by `magnitude` the strongest op of an edge stays, by `perturbation` (DARTS-PT)
            the one without which the supernet does worst.  Every such test is a trial.
        tune: epochs of `perturbation` besides those of the training, spread evenly between its decisions.
        penalty: what alphas pay for what their mixture costs; nothing unless it names a cost.
    """

    alphas: Alphas = field(default_factory=Alphas)
    optimizer_kind: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9
    find: Finder = field(default_factory=Uniform)
    num_ranked: int = 50
    eigenvalue_every: int = 5
    select: Literal["magnitude", "perturbation"] = "magnitude"
    tune: int = 10
    penalty: Penalty = field(default_factory=Penalty)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tune < 1:
            raise ConfigError("search.tune", got=self.tune, expected="1 or more")
        if self.penalty.cost and self.select == "perturbation":
            raise ConfigError(
                "search.penalty.cost", got=f'{self.penalty.cost!r} with search.select = "perturbation"',
                expected='search.select = "magnitude": the tests of what the supernet needs know no costs',
            )  # fmt: skip
        if not 0.0 <= self.momentum < 1.0:
            raise ConfigError("search.momentum", got=self.momentum, expected="from 0 up to but not with 1")
        if self.eigenvalue_every < 0:
            raise ConfigError("search.eigenvalue_every", got=self.eigenvalue_every, expected="0 or more epochs")

    def relax(self, alphas: Tensors, *, epoch: int, seed: int | None) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Alphas to weightings, the same for the same seed, without noise for None; softmax unless it is overridden."""
        return softmax(alphas, temperature=self.alphas.temperature.at(epoch, self.training.epochs))

    def regulariser(self, alphas: Tensors) -> Tensor | None:  # noqa: ARG002
        """What is added to the validation loss in an alpha step."""
        return None

    def mix(self) -> Mix:
        """How ops come together."""
        return weighted_sum

    def learnt(self, space: SearchSpace) -> list[Choice]:
        """The choices that have alphas."""
        return [c for c in space.choices if c.take == 1 and len(c.options) > 1]

    def strengths(self, alphas: Tensors) -> dict[str, Tensor]:
        """What an architecture is read off: for each option a number, not negative; more is stronger."""
        return softmax(alphas)

    def stop_rule(self, task: Task, state: AlphaState, learner: Learner, network: Network, epoch: int) -> Stop | None:  # noqa: ARG002
        """Asked after each epoch; a stop keeps the alphas of the epoch that it names."""
        return None

    def network(self, task: Task, *, seed: int) -> Network:
        return task.network(seed=seed, mix=self.mix())

    def optimizer(self, network: Network) -> torch.optim.Optimizer:
        ours = optimizer_for(network, self.training)
        if self.optimizer_kind == "adamw":
            return ours
        groups = [{"params": g["params"], "weight_decay": g["weight_decay"]} for g in ours.param_groups]
        return torch.optim.SGD(groups, lr=self.training.lr, momentum=self.momentum, fused=True)

    def init(self, task: Task) -> AlphaState:
        state = super().init(task)
        learners = [
            Learner(self.learnt(task.space), self.alphas, seed=self.seed_of(task, i), device=task.device)
            for i in range(self.supernets)
        ]
        return AlphaState(state.space, state.networks, state.optimizers, learners)

    def passes(self, space: SearchSpace) -> float:  # noqa: ARG002
        """Every option takes part in every step."""
        return math.inf

    def warnings(self, task: Task, state: SupernetState) -> list[str]:
        """Where a learning rate times the steps cannot move weights, or alphas, as far as they would have to go."""
        steps = -(-len(self.rows(task, state.network)) // self.training.batch) * self.training.epochs
        passes, told = self.passes(task.space), []
        if self.optimizer_kind == "adamw":
            told = check_travel(task.space, state.network, self.training, steps, passes=passes)
        told += check_alphas(steps, lr=self.alphas.lr, resting=self.alphas.warm_up)
        return told

    def halves(self, task: Task) -> Fold:
        """Rows of the weights, and later ones of the alphas."""
        return holdout(task.train, self.alphas.share, purge=task.data.purge_rows, embargo=0)

    def rows(self, task: Task, network: Network) -> Span:  # noqa: ARG002
        return self.halves(task).train

    def mixture(
        self,
        space: SearchSpace,
        alphas: Tensors,
        *,
        epoch: int,
        seed: int | None,
        decided: Mapping[str, Sequence[int]] | None = None,
    ) -> Mapping[str, Tensor]:
        """The weightings of all choices: a node hears every way in, where alphas do not say how much.

        Args:
            decided: choices that only have these options any more.
        """
        ones = {c.name: torch.ones(len(c.options)) for c in space.choices if c.take > 1}
        return {**ones, **self.relax(alphas, epoch=epoch, seed=seed), **as_weights(space, decided or {}, alphas)}

    def plan(self, task: Task, state: SupernetState, network: Network, *, epoch: int, seed: int) -> Plan:
        assert isinstance(state, AlphaState)
        learner, reach = state.learner(network), network.reach()
        own = [i for i, other in enumerate(state.networks) if other is network]
        teach = None  # a copy of a supernet is trained on with the alphas as they are
        if own and epoch >= round(self.alphas.warm_up * self.training.epochs):
            teach = self._teach(task, state, own[0], epoch=epoch, seed=seed)

        alone = None
        if self.static(task, state.space):
            own_mixture = partial(self.mixture, state.space, epoch=epoch, seed=None, decided=learner.decided)
            objective = Objective.fitted(task.data, task.train)
            alone = Captured(network, objective, own_mixture, learner.alphas, of="weights").differentiate

        def passes(step: int) -> Sequence[Pass]:
            if teach is not None:
                teach(step)
            if alone is not None:
                return [Pass(mixture={}, reach=reach, alone=alone)]
            drawn = seed_for(seed, "relax weights", epoch, step)
            mixture = self.mixture(state.space, learner.now(), epoch=epoch, seed=drawn, decided=learner.decided)
            return [Pass(mixture=mixture, reach=reach)]

        return passes

    def _teach(self, task: Task, state: AlphaState, at: int, *, epoch: int, seed: int) -> Callable[[int], None]:
        """A function that takes the alpha step of one supernet, before a step of its weights."""
        network, learner, optimizer = state.networks[at], state.learners[at], state.optimizers[at]
        objective, fold, targets = Objective.fitted(task.data, task.train), self.halves(task), self.training.batch
        valid, train = (self.segments(task, network, span, objective) for span in (fold.valid, fold.train))
        later = _endless(valid, targets, seed, epoch)
        earlier = train.epoch(rng_for(seed, "supernet", "batches", epoch), targets=targets)  # as the weights see them
        charge, weights = self.penalty.of(network, task.price_list), dict(network.named_parameters())

        captured = None
        if self.static(task, state.space) and not self.unrolled and charge is None:
            own_mixture = partial(self.mixture, state.space, epoch=epoch, seed=None, decided=learner.decided)
            captured = Captured(network, objective, own_mixture, learner.alphas, of="alphas")

        def teach(step: int) -> None:
            if captured is not None:
                found = captured.hypergradient(next(later))
                learner.learn(found, self.regulariser(learner.alphas))
                return
            drawn = seed_for(seed, "relax alphas", epoch, step)

            def relax(alphas: Tensors) -> Mapping[str, Tensor]:
                return self.mixture(state.space, alphas, epoch=epoch, seed=drawn, decided=learner.decided)

            def loss(batch: Batch, name: str) -> Callable[[Tensors, Tensors], Tensor]:
                return network_loss(network, batch, objective, relax, seed=seed_for(seed, name, epoch, step))

            upper = loss(next(later), "alpha dropout")
            if charge is not None:
                upper = charge.on(upper, relax)
            if self.unrolled:
                found = second_order(
                    loss(next(earlier), "unrolled dropout"), upper, weights, learner.alphas,
                    step=WeightStep.of(optimizer, weights.items()), product=self.product,
                )  # fmt: skip
            else:
                found = first_order(upper, weights, learner.alphas)
            learner.learn(found, self.regulariser(learner.alphas))

        return teach

    def static(self, task: Task, space: SearchSpace) -> bool:
        """Whether each step is the one before with other numbers, so that a GPU can play it back.

        Nothing is drawn, and weights of ops are above 0 whatever the alphas are: those of a softmax.
        """
        rates = [float(str(o)) for c in space.choices if c.name.endswith("/dropout") for o in c.options]
        own = type(self).relax is Differentiable.relax and type(self).mix is Differentiable.mix
        return task.device.type == "cuda" and "cells" in space and own and not any(rates)

    @property
    def unrolled(self) -> bool:
        """Whether alphas look through the weights' next step."""
        return False

    @property
    def product(self) -> Literal["finite", "exact"]:
        """How they do."""
        return "exact"

    def segments(self, task: Task, network: Network, span: Span, objective: Objective) -> Segments:
        """Rows in batches."""
        return Segments(
            task.data, span, reach=network.reach(), length=self.training.segment, objective=objective,
            device=task.device,
        )  # fmt: skip

    def train(self, task: Task, state: SupernetState, epoch: int, supernet: int = 0) -> dict[str, float]:
        assert isinstance(state, AlphaState)
        network, learner = state.networks[supernet], state.learners[supernet]
        if learner.stopped is not None:
            return {"stopped": float(learner.stopped.at), "kept": float(learner.stopped.keep)}
        learner.losses = []
        log = super().train(task, state, epoch, supernet)
        learner.remember()
        if self.eigenvalue_every and epoch % self.eigenvalue_every == 0:
            with suppress(DivergedError):  # a batch that leaves the finite numbers has no curvature
                learner.measured.append((epoch, self.curvature(task, state, learner, network, epoch)))
        stop = self.stop_rule(task, state, learner, network, epoch)
        log |= self.told(state.space, learner)
        if (charge := self.penalty.of(network, task.price_list)) is not None:
            log |= charge.told(self.mixture(state.space, learner.now(), epoch=epoch, seed=None))
        learner.logs.append(log)
        if stop is not None:
            learner.stop(stop)
        return log

    def told(self, space: SearchSpace, learner: Learner) -> dict[str, float]:
        """What to log of the alphas: how undecided the ops are (1 is not at all), the share of skips, the losses."""
        log = told_of_ops(space, self.strengths(learner.now()), self.entropies(learner.now()))
        if learner.measured:
            log["eigenvalue"] = learner.measured[-1][1]
        if learner.losses:
            log["alpha_loss"] = math.fsum(learner.losses) / len(learner.losses)
        return log

    def entropies(self, alphas: Tensors) -> dict[str, float]:
        """How undecided each choice is: 1 where all options weigh alike, 0 where one has all the weight."""
        return {name: entropy(weights_O) for name, weights_O in self.strengths(alphas).items()}

    def account(self, space: SearchSpace, learner: Learner) -> dict[str, Any]:
        """What is recorded of the alphas of one supernet, epoch by epoch; see `diagnosis.account`."""
        return account(
            space,
            [(self.strengths(alphas), self.entropies(alphas)) for alphas in learner.trail],
            self.strengths({name: torch.zeros_like(alpha) for name, alpha in learner.now().items()}),
            logs=learner.logs,
            measured=learner.measured,
            stopped=learner.stopped,
        )

    def curvature(self, task: Task, state: AlphaState, learner: Learner, network: Network, epoch: int) -> float:
        """The dominant eigenvalue on one batch of the alphas' rows, at the current weights."""
        seed = seed_for(task.seed, "curvature", epoch)
        objective = Objective.fitted(task.data, task.train)
        segments = self.segments(task, network, self.halves(task).valid, objective)
        batch = next(segments.epoch(rng_for(seed, "batch"), targets=self.training.batch))

        def relax(alphas: Tensors) -> Mixture:
            return self.mixture(state.space, alphas, epoch=epoch, seed=seed)

        loss = network_loss(network, batch, objective, relax, seed=seed)
        weights = {name: weight.detach() for name, weight in network.named_parameters()}
        return dominant_eigenvalue(
            lambda alphas: loss(weights, alphas), learner.now(), weight_decay=self.alphas.weight_decay
        )

    def candidates_from(self, task: Task, state: SupernetState) -> SearchSpace:
        assert isinstance(state, AlphaState)
        return Drawn(state.space, [self.source(task, state, learner) for learner in state.learners])

    def source(self, task: Task, state: AlphaState, learner: Learner) -> Source:
        """What the alphas choose, then draws by what they weigh, half and half with what was decided."""
        space = state.space
        weights = self.strengths(learner.now())
        for name, kept in as_weights(space, learner.decided, learner.now()).items():
            if name in weights:
                weights[name] = 0.5 * (weights[name] / weights[name].sum() + kept / kept.sum())
        first = iter([self.settled(task, state, learner)])
        return lambda rng: [next(first, None) or sampled(space, weights, rng)]

    def chosen(self, space: SearchSpace, alphas: Tensors) -> Architecture:
        """The architecture that the alphas stand for."""
        return discretised(space, self.strengths(alphas))

    def stands_for(self, space: SearchSpace, learner: Learner) -> Architecture:
        """The architecture of the alphas, or of what was decided instead."""
        if not learner.decided:
            return self.chosen(space, learner.now())
        return discretised(space, self.strengths(learner.now()) | as_weights(space, learner.decided, learner.now()))

    def settled(self, task: Task, state: AlphaState, learner: Learner) -> Architecture:
        """The architecture of the alphas; where it is beyond a limit, the nearest that fits by what they weigh."""
        own, prices = self.stands_for(state.space, learner), self.prices(task, state)
        if prices.fits(own):
            return own
        weights = self.strengths(learner.now()) | as_weights(state.space, learner.decided, learner.now())

        def violation(architecture: Architecture) -> float:
            return prices.violation(architecture) + float(not self.allows(state, architecture))

        return nearest_by(state.space, weights, own, violation) or own  # which no finder then takes

    def finish(self, task: Task, state: SupernetState) -> list[Candidate]:
        assert isinstance(state, AlphaState)
        found = super().finish(task, state)
        chosen = {
            self.settled(task, state, learner): self.stands_for(state.space, learner) for learner in state.learners
        }
        return [
            replace(c, instead_of=own) if (own := chosen.get(c.architecture, c.architecture)) != c.architecture else c
            for c in found
        ]

    @property
    def tuned(self) -> int:
        """Epochs of tuning between decisions."""
        return self.tune if self.select == "perturbation" else 0

    def citations(self) -> list[str]:
        return super().citations() + ([CITATION] if self.select == "perturbation" else []) + self.penalty.citations()

    def weighs(self) -> tuple[str, ...]:
        return super().weighs() + ((self.penalty.cost,) if self.penalty.cost else ())

    def num_epochs(self) -> int:
        return super().num_epochs() + self.supernets * self.tuned

    def look(self, task: Task, state: SupernetState, at: int) -> dict[str, float]:
        """Decisions about one supernet after the other, before the generations of the finder."""
        if at < self.supernets * self.tuned:
            supernet, within = divmod(at, self.tune)
            return self.perturb(task, state, within, supernet)
        return super().look(task, state, at - self.supernets * self.tuned)

    def perturb(self, task: Task, state: SupernetState, within: int, supernet: int) -> dict[str, float]:
        """Some decisions about what a supernet needs, then an epoch of tuning."""
        assert isinstance(state, AlphaState)
        learner, order = state.learners[supernet], in_order(state.space, seed=self.seed_of(task, supernet))
        decisions = due(len(order), within, self.tune)
        for at in decisions:
            self.decide(task, state, supernet, order[at])
        learner.losses = []
        log = self.pass_over(
            task,
            state,
            self.training.epochs + within,
            supernet,
            Tuning.after(self.training, self.tune),
        )
        return log | self.told(state.space, learner) | {"decided": float(len(learner.decided))}

    def decide(self, task: Task, state: AlphaState, supernet: int, choice: Choice) -> None:
        """Keeps of one choice what the supernet needs, on the rows of the alphas; counts every test."""
        network, learner, fold = state.networks[supernet], state.learners[supernet], self.halves(task)
        scorer = replace(task.scorer, evaluator=replace(task.scorer.evaluator, train=fold.train, valid=fold.valid))
        now = self.mixture(state.space, learner.now(), epoch=self.training.epochs, seed=None, decided=learner.decided)
        strengths = self.strengths(learner.now()) | as_weights(state.space, learner.decided, learner.now())
        number = itertools.count()

        def judge(weights_O: Tensor, missing: Option) -> float:
            architecture = discretised(state.space, strengths | {choice.name: weights_O})
            look = f"perturbation{supernet}/{choice.name}/{next(number)}/{missing}"
            scores = scorer.mixture(network, {**now, choice.name: weights_O}, architecture, look=look)
            return merit(scores, scorer.metric)

        kept = needed(choice, now[choice.name], judge, leave_out=left_out(state.space))
        learner.decided[choice.name] = list(kept)


def _endless(segments: Segments, targets: int, seed: int, epoch: int) -> Iterator[Batch]:
    for again in itertools.count():
        yield from segments.epoch(rng_for(seed, "alphas", "batches", epoch, again), targets=targets)
