"""Once-for-All: progressive shrinking of the network (Cai et al., ICLR 2020, arXiv:1908.09791).

    full     the network at its largest learns from the labels                     sec. 3.3, step 1
    kernel   then each step trains smaller lookbacks,        1 subnet a step       step 2: elastic kernel size
    depth    then smaller depths as well,                    2 subnets a step      step 3: elastic depth
    width    then smaller widths as well,                    4 subnets a step      step 4: elastic width
             whose channels were sorted by the L1 norm of what reads them before   sec. 3.3; nn/sorting.py
    loss     labels, and the signal of the frozen full network                     knowledge distillation, ratio 1
    rank     score with the inherited weights on validation rows
    deploy   for each device a search within its budget, weights as they are       sec. 3.3; parts/devices.py

Each stage opens its options one by one from the largest downwards; what an earlier stage opened stays open.

Our kernels are the taps of the lookback filters: a shorter lookback is the latest taps of a longer one, the causal
crop.  The paper's learned matrix between a kernel and its crop is left out: for 100 taps it would have 10,000 weights,
and it would mix taps that an L1 penalty is there to close one by one.

Departures: AdamW and one cosine over all stages, where each stage of the paper is a training of its own; a stage takes
its share of the epochs; what has no size (ops, activations, inputs) is drawn from the start, and a subnet learns from
the full network with the same ops; a stage with nothing to open is left out and the others take its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from tradenas.errors import ConfigError
from tradenas.nn import Network, hard
from tradenas.nn.sorting import sort_channels
from tradenas.search.base import METHODS, Candidate, Task
from tradenas.search.parts.affordable import kept, refuse_unless_met
from tradenas.search.parts.devices import Target, check_targets, told, winners_first
from tradenas.search.parts.oneshot import OneShot, path_of
from tradenas.search.parts.sizes import is_size
from tradenas.search.parts.supernet import SupernetState
from tradenas.seeds import rng_for
from tradenas.space import Choice, SearchSpace, draw
from tradenas.train.loop import Pass, Plan

__all__ = ["OnceForAll", "Stage"]

#: The stages after the full network, in order, and the subnets that each trains a step.
SUBNETS = {"kernel": 1, "depth": 2, "width": 4}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the training: epochs `first` to `stop`, in which the sizes of one kind open."""

    kind: str
    first: int
    stop: int


@METHODS.register("once_for_all")
@dataclass(frozen=True, kw_only=True)
class OnceForAll(OneShot):
    """Trains the full network first, then lets it shrink: in lookback, then in depth, then in width.

    Attributes:
        shares: of the training, for the full network, lookbacks, depths and widths.
        distil: weight of what the frozen full network says, beside the labels.
        devices: a search for each of them, of `num_ranked` architectures within its budget; the best of each come first
            among the candidates, and `search/devices.json` holds them.  None for one search within the study's budget.
    """

    citation: ClassVar[str] = (
        "@inproceedings{cai2020once, title={Once-for-All: Train One Network and Specialize it for Efficient "
        "Deployment},\n  author={Cai, Han and Gan, Chuang and Wang, Tianzhe and Zhang, Zhekai and Han, Song}, "
        "booktitle={ICLR}, year={2020}}"
    )

    kind: Literal["once_for_all"] = "once_for_all"
    shares: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25)
    distil: float = 1.0
    devices: tuple[Target, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shares) != 4 or not all(share > 0 for share in self.shares):
            raise ConfigError("search.shares", got=str(self.shares), expected="four numbers above 0")
        if self.distil < 0:
            raise ConfigError("search.distil", got=self.distil, expected="0 or more")
        check_targets(self.devices)
        for name in ("parsimony", "max_params"):
            if self.devices and getattr(self, name):
                raise ConfigError(
                    f"search.{name}", got=f"{getattr(self, name):g} with search.devices",
                    expected="0: each device has a budget and a best of its own",
                )  # fmt: skip

    def init(self, task: Task) -> SupernetState:
        self.stages(task.space)
        if self.devices and task.price_list().limits:
            raise ConfigError(
                "budget", got="limits, and search.devices", expected="one of both", fix="name the limits of each device"
            )
        for target in self.devices:
            refuse_unless_met(task.space, target.priced(task), place=target.place)
        return super().init(task)

    def weighs(self) -> tuple[str, ...]:
        return (*super().weighs(), *dict.fromkeys(name for target in self.devices for name in target.limits()))

    def warnings(self, task: Task, state: SupernetState) -> list[str]:
        unheld = {t.name: t.not_held(t.priced(task)) for t in self.devices}
        told = [
            f"{name} allows {limit:g} {what}, which nothing here prices"
            for name, limits in unheld.items()
            for what, limit in limits.items()
        ]
        return super().warnings(task, state) + told

    def num_epochs(self) -> int:
        more = max(0, len(self.devices) - 1)
        return super().num_epochs() + more * len(self.find.sizes(self.num_ranked))

    def look(self, task: Task, state: SupernetState, at: int) -> dict[str, float]:
        """The next generation for the next device."""
        if not self.devices:
            return super().look(task, state, at)
        number = at // len(self.find.sizes(self.num_ranked))
        own = self.on(task, state, self.devices[number])
        return {"device": float(number), **self.generation(own, state, at)}

    def on(self, task: Task, state: SupernetState, target: Target) -> Task:
        """The task on one device; the state takes its prices."""
        own = replace(task, prices=target.priced(task))
        state.prices = own.prices
        return own

    def best_on(self, task: Task, state: SupernetState, target: Target) -> tuple[Task, list[Candidate]]:
        """The task on a device, and what was scored in its order."""
        own = self.on(task, state, target)
        return own, self.ranked(own, state)

    def finish(self, task: Task, state: SupernetState) -> list[Candidate]:
        winners = []
        for target in self.devices:
            own, ranked = self.best_on(task, state, target)
            winners += [c.architecture for c in kept(ranked, own.prices)[:1]]
        state.prices = None
        return winners_first(super().finish(task, state), winners)

    def records(self, task: Task, state: SupernetState) -> dict[str, Any]:
        """`devices`: the best architecture of each."""
        found = []
        for target in self.devices:
            own, ranked = self.best_on(task, state, target)
            assert own.prices is not None
            found.append(told(target, own.prices, ranked))
        state.prices = None
        looks = {"metric": task.scorer.metric, "looks": len(state.scored)}
        return {"devices": {**looks, "devices": found}} if found else {}

    def stages(self, space: SearchSpace) -> list[Stage]:
        """The stages that have something to open, the full network first, and their epochs.

        Raises:
            ConfigError: there are fewer epochs than stages.
        """
        open_kinds = {kind_of(c) for c in space.choices if len(c.options) > 1}
        share = dict(zip(("full", *SUBNETS), self.shares, strict=True))
        kinds = ["full", *(kind for kind in SUBNETS if kind in open_kinds)]
        epochs = self.training.epochs
        if epochs < len(kinds):
            raise ConfigError(
                "search.training.epochs", got=epochs, expected=f"{len(kinds)} or more, one for each of {kinds}"
            )
        ends = np.cumsum([share[kind] for kind in kinds]) / sum(share[kind] for kind in kinds) * epochs
        firsts = [0]
        for i, end in enumerate(ends[:-1], start=1):
            firsts.append(min(max(round(float(end)), firsts[-1] + 1), epochs - len(kinds) + i))
        return [Stage(kind=k, first=f, stop=s) for k, f, s in zip(kinds, firsts, [*firsts[1:], epochs], strict=True)]

    def opened(self, space: SearchSpace, epoch: int) -> SearchSpace:
        """What may be drawn in an epoch: the largest of every size, and what was opened so far."""
        stages = {stage.kind: stage for stage in self.stages(space)}

        def options(choice: Choice) -> int:
            stage, num = stages.get(kind_of(choice)), len(choice.options)
            if stage is None or epoch < stage.first:
                return 1
            return min(num, 2 + (num - 1) * (epoch - stage.first) // (stage.stop - stage.first))

        return space.restrict(
            {c.name: sorted(c.options, key=float)[-options(c) :] for c in space.choices if is_size(c)}
        )

    def before_epoch(self, task: Task, state: SupernetState, network: Network, *, epoch: int) -> None:
        """Keeps the full network as the teacher once it has learnt, and sorts channels before widths open."""
        stages = self.stages(task.space)
        if epoch == 0:
            state.teacher = None
        elif epoch == stages[0].stop:
            state.teacher = network.inherit(self.opened(task.space, 0)).to(task.device)
        if any(stage.kind == "width" and stage.first == epoch for stage in stages):
            sort_channels(network, state.optimizers[state.networks.index(network)])

    def plan(self, task: Task, state: SupernetState, network: Network, *, epoch: int, seed: int) -> Plan:
        full, now, teacher = self.opened(task.space, 0), self.opened(task.space, epoch), state.teacher
        kind = next(stage.kind for stage in self.stages(task.space) if epoch < stage.stop)

        def passes(step: int) -> Sequence[Pass]:
            rng = rng_for(seed, "paths", epoch, step)
            if teacher is None:
                return [path_of(network, full.sample(rng))]
            return [subnet(network, teacher, full, now, rng, self.distil) for _ in range(SUBNETS[kind])]

        return passes


def subnet(
    network: Network, teacher: Network, full: SearchSpace, now: SearchSpace, rng: np.random.Generator, weight: float
) -> Pass:
    """A smaller network, and the full one with the same ops that teaches it."""
    large = full.sample(rng)
    small = now.walk(lambda c: draw(c, rng) if is_size(c) else large[c.name])
    return replace(path_of(network, small, teacher=weight), taught=hard(teacher.space, large))


def kind_of(choice: Choice) -> str:
    """Which stage opens a choice; none of them where it has no size."""
    if not is_size(choice):
        return ""
    last = choice.name.rsplit("/", 1)[-1]
    return last if last in ("depth", "width") else "kernel"
