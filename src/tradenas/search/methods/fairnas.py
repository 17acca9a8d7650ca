"""FairNAS, strict fairness (Chu, Zhang & Xu, ICCV 2021, arXiv:1907.01845).

    train    a permutation of the m ops of every layer makes m single paths;       algorithm 1
             gradients of all m add up, then one step: every op learns once a step algorithm 1, strict fairness
    rank     score with the inherited weights on validation rows

What else there is to choose is dealt like cards: draw g of a choice with m options is card g mod m of deck g div m,
and every deck is shuffled by its own number.  After any number of draws no option is ahead of another by more than 1,
and nothing has to be remembered.  A step makes K draws of each choice, K being the most ops that a layer has; a choice
that ops hang on (depth) is dealt once a step, so that a layer that runs in a step runs with all its ops.

Departures: AdamW for SGD with one clip after the sum; ops of a step share the batch (algorithm 1) or divide it up,
which costs no more than one path; evolution for NSGA-II unless another finder is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from tradenas.errors import SpaceError
from tradenas.nn import Network
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.oneshot import OneShot, path_of
from tradenas.search.parts.sizes import is_op
from tradenas.search.parts.supernet import SupernetState
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Choice, Option, SearchSpace
from tradenas.train.loop import Pass, Plan

__all__ = ["FairNAS", "dealt", "num_passes"]


@METHODS.register("fairnas")
@dataclass(frozen=True, kw_only=True)
class FairNAS(OneShot):
    """Trains every op of every layer exactly once a step, so that none is ahead because it was drawn more often.

    Attributes:
        share_batch: whether all paths of a step learn from the whole batch, as published; otherwise each learns from
            its own share of it, and a step costs as much as one path.
        strict: refuse a space where a layer has a number of ops that does not divide the paths of a step (the first
            layer of a chain has no `skip`); otherwise its ops are level only over several steps.
    """

    citation: ClassVar[str] = (
        "@inproceedings{chu2021fairnas, title={FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural "
        "Architecture Search},\n  author={Chu, Xiangxiang and Zhang, Bo and Xu, Ruijun}, booktitle={ICCV}, year={2021}}"
    )

    kind: Literal["fairnas"] = "fairnas"
    share_batch: bool = True
    strict: bool = True

    def init(self, task: Task) -> SupernetState:
        if self.strict:
            check(task.space)
        return super().init(task)

    def passes(self, space: SearchSpace) -> float:
        return float(num_passes(space))

    def plan(self, task: Task, state: SupernetState, network: Network, *, epoch: int, seed: int) -> Plan:  # noqa: ARG002
        space = state.space
        num = num_passes(space)
        held = {name for choice in space.choices if is_op(choice) for name in choice.when}

        def path(step: int, at: int) -> Architecture:
            def pick(choice: Choice) -> Option:
                return dealt(choice, step if choice.name in held else step * num + at, seed=seed, epoch=epoch)

            return space.walk(pick)

        def passes(step: int) -> Sequence[Pass]:
            parts = [None if self.share_batch else (at, num) for at in range(num)]
            return [path_of(network, path(step, at), part=part) for at, part in enumerate(parts)]

        return passes


def num_passes(space: SearchSpace) -> int:
    """Paths of a step: the most ops that a layer has."""
    return max((len(choice.options) for choice in space.choices if is_op(choice)), default=1)


def dealt(choice: Choice, draw: int, *, seed: int, epoch: int) -> Option:
    """Draw number `draw` of an epoch: a card of a deck that is shuffled by its own number.

    >>> choice = Choice(name="layer0/op", options=("a", "b", "c"))
    >>> sorted(dealt(choice, g, seed=0, epoch=0) for g in range(3, 6))
    ['a', 'b', 'c']
    """
    deck, at = divmod(draw, len(choice.options))
    order = rng_for(seed, "decks", epoch, choice.name, deck).permutation(len(choice.options))
    return choice.options[int(order[at])]


def check(space: SearchSpace) -> None:
    """Refuses a space where not every op can be used equally often in each step."""
    num = num_passes(space)
    for choice in space.choices:
        if is_op(choice) and num % len(choice.options):
            raise SpaceError(
                choice.name,
                got=f"{len(choice.options)} ops where a step has {num} paths",
                expected=f"a number of ops that divides {num}, or strict fairness cannot hold",
                fix="leave 'skip' out of space.ops (no first layer has it), or set search.strict = false",
            )
