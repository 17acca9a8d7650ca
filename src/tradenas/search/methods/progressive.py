"""Progressive shrinking of the space by measured merit (after ABS: Hu et al., ECCV 2020, arXiv:2004.13431).

    train    single paths, drawn uniformly from what is left                       algorithm 1
    score    each option by the mean merit of random paths that have it            sec. 3.3
    drop     the worst options of the whole space, never the last of a choice      algorithm 1
    repeat   between `stages` parts of the training; the weights go on from where they are

Departures: merit is the score on the ranking rows, where ABS takes the angle between initial and trained weights; an
angle needs no labels, but is blind for inputs and for ops without weights.  Every path that is scored for it is a
trial of the study and counted; under a budget only paths that fit are, and no option is dropped without which none
would.  An option is measured by what it is behind the best of its own choice, since a width
and an op have nothing in common but that.

Several supernets learn side by side, an epoch each in turn, and the space shrinks by the mean of their scores, one
trial a path.  Shrunk each by itself they would end in different spaces, and one order could not be made of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tradenas.errors import ConfigError
from tradenas.nn import Network
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.affordable import still_met
from tradenas.search.parts.merits import covering, option_merits, worst
from tradenas.search.parts.oneshot import OneShot, path_of
from tradenas.search.parts.supernet import SupernetState
from tradenas.seeds import rng_for
from tradenas.train.loop import Plan

__all__ = ["Progressive"]


@METHODS.register("progressive")
@dataclass(frozen=True, kw_only=True)
class Progressive(OneShot):
    """Trains one path a step, and now and then gives up the options that serve it worst.

    Attributes:
        stages: equal parts of the training; options are dropped between them.
        drop: share of the options that are behind the best of their choice, dropped each time.
        paths: random paths, at least, that an option is judged by each time; all of them are trials.
    """

    citation: ClassVar[str] = (
        "@inproceedings{hu2020angle, title={Angle-based Search Space Shrinking for Neural Architecture Search},\n"
        "  author={Hu, Yiming and Liang, Yuding and Guo, Zichao and Wan, Ruosi and Zhang, Xiangyu and Wei, Yichen and "
        "Gu, Qingyi and Sun, Jian},\n  booktitle={ECCV}, year={2020}}"
    )

    kind: Literal["progressive"] = "progressive"
    stages: int = 4
    drop: float = 0.25
    paths: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.stages <= self.training.epochs:
            raise ConfigError(
                "search.stages", got=self.stages, expected=f"2 to search.training.epochs = {self.training.epochs}"
            )
        if not 0.0 < self.drop <= 1.0:
            raise ConfigError("search.drop", got=self.drop, expected="a share above 0, at most 1")
        if self.paths < 1:
            raise ConfigError("search.paths", got=self.paths, expected="1 or more")

    def plan(self, task: Task, state: SupernetState, network: Network, *, epoch: int, seed: int) -> Plan:
        space = self.trained(task, state)
        return lambda step: [path_of(network, space.sample(rng_for(seed, "paths", epoch, step)))]

    def epoch(self, task: Task, state: SupernetState, epoch: int) -> dict[str, float]:
        """An epoch of one supernet after the other; after the last one's, perhaps the end of a stage."""
        within, supernet = divmod(epoch, self.supernets)
        if within >= self.training.epochs:
            return self.look(task, state, epoch - self.supernets * self.training.epochs)
        log = self.train(task, state, within, supernet)
        ends = [round(k * self.training.epochs / self.stages) for k in range(1, self.stages)]
        if supernet == self.supernets - 1 and within + 1 in ends:
            log |= self.shrink(task, state, stage=ends.index(within + 1))
        return log

    def shrink(self, task: Task, state: SupernetState, *, stage: int) -> dict[str, float]:
        """Drops the worst options; returns what each of them was behind, by name."""
        rng, allowed = rng_for(task.seed, "shrink", stage), self.allowed(task, state)
        wanted = covering(state.space, rng, times=self.paths, allowed=allowed)
        scored = task.scorer.paths(state.networks, wanted, look=f"stage{stage}")
        dropped = worst(state.space, option_merits(scored, task.scorer.metric), share=self.drop)
        dropped = still_met(state.space, dropped, self.prices(task, state))
        gone = {(name, option) for name, option, _ in dropped}
        state.shrink({c.name: [o for o in c.options if (c.name, o) not in gone] for c in state.space.choices})
        return {f"dropped/{name}/{option}": behind for name, option, behind in dropped} | {
            "shrunk_by": float(len(wanted))
        }
