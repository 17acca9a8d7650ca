"""What every one-shot method shares: train supernets, then rank paths through their weights.

A method is how a step trains (`plan`) and its settings; which paths are looked at afterwards is a `Finder`, and how
several supernets become one order is `aggregate`.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from tradenas.cost import PriceList
from tradenas.errors import ConfigError
from tradenas.nn import Network, hard
from tradenas.search.base import Candidate, Method, Task
from tradenas.search.parts.affordable import affordable, kept, refuse_unless_met
from tradenas.search.parts.aggregate import Aggregate, merits_of
from tradenas.search.parts.evolution import Evolution
from tradenas.search.parts.find import Allowed, Finder, History
from tradenas.search.parts.parsimony import simplest_first, simplify
from tradenas.search.parts.proxies import PROXIES, best_first
from tradenas.search.parts.reward import worth
from tradenas.search.parts.supernet import SupernetState
from tradenas.search.parts.travel import check_travel
from tradenas.seeds import seed_for
from tradenas.space import Architecture, SearchSpace
from tradenas.splits import Span
from tradenas.train.loop import Optimisation, Pass, Plan, optimizer_for, train_epoch
from tradenas.train.loss import Objective
from tradenas.train.segments import Segments

__all__ = ["OneShot", "path_of"]

#: Proposals for each place in a first generation that a proxy chooses.
SCREENED = 10


def path_of(network: Network, architecture: Architecture, **settings: float | bool | tuple[int, int] | None) -> Pass:
    """The pass that trains one path."""
    mixture, reach = hard(network.space, architecture), network.reach(architecture)
    return Pass(mixture=mixture, reach=reach, **settings)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class OneShot(Method[SupernetState], abc.ABC):
    """Trains all architectures at once by sharing weights, then ranks by those weights.

    Biased: a shared weight is not the weight the architecture would have alone.  How far the ranking can be trusted
    is measured by retraining (the report's Kendall tau), never assumed.

    Attributes:
        training: of the shared weights, of each supernet.
        find: which architectures are scored once the weights are trained.
        num_ranked: architectures to score.
        supernets: supernets trained from different seeds, one after the other; their orders are put together.
        aggregate: how: by `mean_rank`, by `borda` points, or by `mean_score`.
        max_params: most parameters that a candidate may have, `budget.parameters` by another name; 0 sets no limit.
        warm_start: zero-cost proxy by which the first generation is the best tenth of ten times as many proposals;
            empty for none.
        parsimony: standard errors of the difference within which a candidate is as good as the best: inputs of the best
            are then switched off and its lookback is shortened as long as that stays within, and the simplest takes the
            first place.  0 takes the best as it is.
    """

    training: Optimisation = field(default_factory=lambda: Optimisation(epochs=40, batch=512, lr=1e-3))
    find: Finder = field(default_factory=Evolution)
    num_ranked: int = 200
    supernets: int = 1
    aggregate: Aggregate = "mean_rank"
    max_params: int = 0
    warm_start: str = ""
    parsimony: float = 0.0

    def __post_init__(self) -> None:
        for name, low in (("num_ranked", 1), ("supernets", 1), ("max_params", 0)):
            if getattr(self, name) < low:
                raise ConfigError(f"search.{name}", got=getattr(self, name), expected=f"{low} or more")
        if self.warm_start:
            PROXIES[self.warm_start]
        if not 0.0 <= self.parsimony < float("inf"):
            raise ConfigError("search.parsimony", got=self.parsimony, expected="0 or a number above")

    @abc.abstractmethod
    def plan(self, task: Task, state: SupernetState, network: Network, *, epoch: int, seed: int) -> Plan:
        """The passes of each step of an epoch of one supernet, drawn from (seed, epoch, step)."""

    def before_epoch(self, task: Task, state: SupernetState, network: Network, *, epoch: int) -> None:
        """What a method does to its state before an epoch of a supernet: shrink the space, keep a teacher."""

    def num_epochs(self) -> int:
        generations = len(self.find.sizes(self.num_ranked))
        return self.supernets * self.training.epochs + generations + int(self.parsimony > 0)

    def init(self, task: Task) -> SupernetState:
        self.find.check(task.space, self.num_ranked)
        networks = [self.network(task, seed=self.seed_of(task, i)) for i in range(self.supernets)]
        self.check_budget(task, self.final(task.space))
        return SupernetState(task.space, networks, [self.optimizer(n) for n in networks])

    def warnings(self, task: Task, state: SupernetState) -> list[str]:
        """Where the learning rate times the steps cannot move what is to be trained."""
        targets = max(1, task.train.stop - max(task.train.start, state.network.reach() - 1))
        steps = self.training.epochs * max(1, -(-targets // self.training.batch))
        return check_travel(task.space, state.network, self.training, steps, passes=self.passes(task.space))

    def passes(self, space: SearchSpace) -> float:  # noqa: ARG002
        """Paths that a step trains, on the average."""
        return 1.0

    def network(self, task: Task, *, seed: int) -> Network:
        """A supernet with fresh weights."""
        return task.network(seed=seed)

    def optimizer(self, network: Network) -> torch.optim.Optimizer:
        """What moves the weights of a supernet."""
        return optimizer_for(network, self.training)

    def rows(self, task: Task, network: Network) -> Span:  # noqa: ARG002
        """The rows that the shared weights learn from."""
        return task.train

    def seed_of(self, task: Task, supernet: int) -> int:
        """Of the weights, batches and paths of one supernet; the first has the task's."""
        return task.seed if supernet == 0 else seed_for(task.seed, "supernet", supernet)

    def final(self, space: SearchSpace) -> SearchSpace:
        """What candidates come from in the end; a method that goes through stages has less in the last one."""
        return space

    def check_budget(self, task: Task, space: SearchSpace) -> None:
        """Refuses what cannot be had, before anything is trained.

        Raises:
            BudgetError: no architecture meets the limits.
            ConfigError: the finder weighs a cost that is not known, or several supernets are to vote on an objective.
        """
        prices = self.limits(task)
        prices.require(self.find.weighs(), place="search.find.objectives")
        if prices.exponents and self.supernets > 1 and self.aggregate != "mean_score":
            raise ConfigError(
                "search.aggregate", got=f"{self.aggregate} of {self.supernets} supernets with budget.exponents",
                expected="mean_score: an objective is made of scores, not of ranks",
            )  # fmt: skip
        refuse_unless_met(space, prices)

    def weighs(self) -> tuple[str, ...]:
        return self.find.weighs()

    def limits(self, task: Task) -> PriceList:
        """What architectures cost and may cost; `max_params` is one of the limits."""
        return task.price_list().limited(parameters=self.max_params)

    def prices(self, task: Task, state: SupernetState) -> PriceList:
        """The same, made once for a state."""
        if state.prices is None:
            state.prices = self.limits(task)
        return state.prices

    def trained(self, task: Task, state: SupernetState) -> SearchSpace:
        """What single paths are drawn from while the weights learn: what fits, where limits reject the rest.

        Weights that only have to serve a part of the space serve it better (`benchmarks/budget.py train`).
        """
        prices = self.prices(task, state)
        return state.space if prices.train == "all" else affordable(state.space, prices)

    def epoch(self, task: Task, state: SupernetState, epoch: int) -> dict[str, float]:
        supernet, within = divmod(epoch, self.training.epochs)
        if supernet < self.supernets:
            return self.train(task, state, within, supernet)
        return self.look(task, state, epoch - self.supernets * self.training.epochs)

    def look(self, task: Task, state: SupernetState, at: int) -> dict[str, float]:
        """An epoch after the training: the next generation of the finder, and the simplest of the best at the end."""
        if at == len(self.find.sizes(self.num_ranked)):
            return self.simplified(task, state)
        return self.generation(task, state, at)

    def allows(self, state: SupernetState, architecture: Architecture) -> bool:  # noqa: ARG002
        """Whether a finder may propose an architecture, whatever it costs."""
        return True

    def allowed(self, task: Task, state: SupernetState) -> Allowed:
        """Whether a finder may propose an architecture."""
        prices = self.prices(task, state)
        hard = bool(prices.limits) and prices.rule == "reject"
        return lambda a: self.allows(state, a) and (not hard or prices.fits(a))

    def train(self, task: Task, state: SupernetState, epoch: int, supernet: int = 0) -> dict[str, float]:
        """An epoch of one supernet."""
        return self.pass_over(task, state, epoch, supernet, self.training)

    def pass_over(
        self, task: Task, state: SupernetState, epoch: int, supernet: int, training: Optimisation
    ) -> dict[str, float]:
        """One pass of one supernet over the training rows."""
        network, seed = state.networks[supernet], self.seed_of(task, supernet)
        self.before_epoch(task, state, network, epoch=epoch)
        objective = Objective.fitted(task.data, task.train)
        segments = Segments(
            task.data,
            self.rows(task, network),
            reach=network.reach(),
            length=training.segment,
            objective=objective,
            device=task.device,
        )
        planned = self.plan(task, state, network, epoch=epoch, seed=seed)

        def counted(step: int) -> Sequence[Pass]:
            passes = planned(step)
            for one in passes:
                state.count(one.mixture)
            return passes

        return train_epoch(
            network,
            state.optimizers[supernet],
            segments,
            objective,
            training,
            epoch=epoch,
            seed=seed,
            stream="supernet",
            plan=counted,
            teacher=state.teacher,
        )

    def generation(self, task: Task, state: SupernetState, generation: int) -> dict[str, float]:
        """Scores the next architectures with the shared weights."""
        sizes = self.find.sizes(self.num_ranked)
        count = sizes[generation % len(sizes)]  # a method may look more than once (`once_for_all`, many devices)
        screen = bool(self.warm_start) and generation == 0
        wanted = self.find.propose(
            affordable(self.candidates_from(task, state), self.prices(task, state)),
            self.history(task, state),
            count * SCREENED if screen else count,
            generation=generation,
            seed=task.seed,
            allowed=self.allowed(task, state),
        )
        if screen:
            wanted = best_first(task, wanted, [self.warm_start])[:count]
        state.scored += task.scorer.paths(state.networks, wanted)
        merits = merits_of(state.scored, task.scorer.metric, "mean_score")
        return {"scored": float(len(state.scored)), "best": max(merits, default=float("-inf"))}

    def simplified(self, task: Task, state: SupernetState) -> dict[str, float]:
        """Scores what is left of the best candidate when inputs are taken from it, one by one."""
        best = self.ranked(task, state)[0]
        if task.scorer.metric in best.scores:
            state.scored += simplify(
                state.space, task.scorer, state.networks, best, errors=self.parsimony, seen=state.scored,
                allowed=self.allowed(task, state),
            )  # fmt: skip
        return {"scored": float(len(state.scored))}

    def candidates_from(self, task: Task, state: SupernetState) -> SearchSpace:  # noqa: ARG002
        """The space that a finder draws from; a method that has learnt where to look gives it another `sample`."""
        return state.space

    def history(self, task: Task, state: SupernetState) -> History:
        """What a finder may learn from."""
        names = sorted({name for c in state.scored for name in c.scores})
        prices = self.prices(task, state)
        values = {name: tuple(c.scores.get(name, float("nan")) for c in state.scored) for name in names}
        for name in {"parameters", "macs", *self.find.weighs()}:
            values[name] = tuple(prices.one(name, c.architecture) for c in state.scored)
        values["params"] = values["parameters"]
        return History(
            architectures=tuple(c.architecture for c in state.scored),
            merits=tuple(worth(task, c.architecture, c.scores) for c in state.scored)
            if prices.exponents
            else merits_of(state.scored, task.scorer.metric, self.aggregate),
            values=values,
            violations=tuple(prices.violation(c.architecture) for c in state.scored) if prices.limits else (),
        )

    def finish(self, task: Task, state: SupernetState) -> list[Candidate]:
        ranked = kept(self.ranked(task, state), self.prices(task, state))
        if not self.parsimony:
            return ranked
        return simplest_first(task.scorer, state.networks, ranked, errors=self.parsimony)

    def ranked(self, task: Task, state: SupernetState) -> list[Candidate]:
        """What was scored, best first."""
        history = self.history(task, state)
        fronts = self.find.fronts(history)
        shown = [replace(c, front=f) for c, f in zip(state.scored, fronts, strict=True)] if fronts else state.scored
        by_architecture = {c.architecture: c for c in shown}
        return [by_architecture[a] for a in history.best_first(fronts)]
