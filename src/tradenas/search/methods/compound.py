"""EfficientNet: one small network, searched, then grown in depth, width and lookback (Tan & Le, ICML 2019).

    small      the best of some small networks                                              sec. 4, EfficientNet-B0
    grid       alpha, beta, gamma with alpha beta^2 gamma^2 = 2, on the small network       sec. 3.3, step 1
    family     the same factors to the power phi = 1, 2, ...                                sec. 3.3, step 2

Each network of each step is trained alone and is a trial.  What is left is a family of one shape at several prices,
`search/scaling.json`: from which size on more work buys nothing can be read off it.

Departures: work is counted (`cost.macs`) instead of alpha beta^2 gamma^2, whose exponents are those of images
(`parts/scaling.py`; `constraint = "paper"` has them); sizes are those of the study's space, so that a family ends where
the space does; the small network is the best of random ones, not of a search by MnasNet, among the `small` smallest
options of every size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from tradenas.errors import ConfigError, SpaceError
from tradenas.search.base import METHODS, Candidate, Task
from tradenas.search.parts.affordable import affordable, best_first
from tradenas.search.parts.evolution import sample_distinct
from tradenas.search.parts.reward import worth
from tradenas.search.parts.scaling import Factors, exponents, grid, scaled
from tradenas.search.parts.sizes import is_size
from tradenas.search.parts.standalone import Standalone, StandaloneState
from tradenas.space import Architecture, SearchSpace

__all__ = ["Compound"]


class CompoundState(StandaloneState):
    """What is trained, and where each of the three steps begins in it."""

    def __init__(self) -> None:
        super().__init__()
        self.first: list[int] = []

    def meta(self) -> dict[str, Any]:
        return super().meta() | {"first": self.first}

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        super().restore(tensors, meta)
        self.first = list(meta["first"])


@METHODS.register("compound")
@dataclass(frozen=True, kw_only=True)
class Compound(Standalone):
    """A small network that is grown in depth, width and lookback at once.

    Attributes:
        num_trained: small networks, of which the best is grown.
        small: so many of the smallest options of every size make a small network.
        num_grid: ways to grow it that are tried (alpha, beta, gamma).
        steps: powers of the best way, from 1 on: the family has one more member, the small network.
        growth: by how much one step multiplies the work.
        constraint: whether the work is `measured`, or alpha beta^2 gamma^2 as in the `paper`.
    """

    citation: ClassVar[str] = (
        "@inproceedings{tan2019efficientnet, title={{EfficientNet}: Rethinking Model Scaling for Convolutional Neural "
        "Networks},\n  author={Tan, Mingxing and Le, Quoc V.}, booktitle={ICML}, year={2019}}"
    )

    kind: Literal["compound"] = "compound"
    num_trained: int = 12
    small: int = 2
    num_grid: int = 8
    steps: int = 4
    growth: float = 2.0
    constraint: Literal["measured", "paper"] = "measured"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("small", "num_grid", "steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"search.{name}", got=getattr(self, name), expected="1 or more")
        if not 1.0 < self.growth < math.inf:
            raise ConfigError("search.growth", got=self.growth, expected="a factor above 1")

    def num_epochs(self) -> int:
        return self.num_trained + self.num_grid + self.steps

    def weighs(self) -> tuple[str, ...]:
        return ("macs",)

    def init(self, task: Task) -> CompoundState:
        small = self.smallest(task.space)
        if scaled(task.space, small.smallest(), Factors(depth=2.0, width=2.0, lookback=2.0)) == small.smallest():
            raise SpaceError(
                "search.kind compound", got="a space of one depth, one width and one lookback",
                expected="larger sizes to grow into", fix="offer more depths, widths and lookbacks",
            )  # fmt: skip
        return CompoundState()

    def smallest(self, space: SearchSpace) -> SearchSpace:
        """What small networks are drawn from."""
        return space.restrict({c.name: sorted(c.options, key=float)[: self.small] for c in space.choices if is_size(c)})

    def wanted(self, task: Task) -> list[Architecture]:
        """The small networks, with which it begins."""
        small = affordable(self.smallest(task.space), task.prices)
        return sample_distinct(small, self.num_trained, seed=task.seed, stream="compound")

    def epoch(self, task: Task, state: StandaloneState, epoch: int) -> dict[str, float]:  # noqa: ARG002
        """Trains the next network; where a step is done, what the next one trains is made of what it found."""
        assert isinstance(state, CompoundState)
        wanted = state.wanted or []
        while len(wanted) == len(state.scored) and len(state.first) < 3:
            state.first.append(len(wanted))
            more = self.step(task, state)
            wanted = wanted + [a for a in dict.fromkeys(more) if a not in wanted and self.fits(task, a)]
            state.wanted = wanted
        if len(wanted) == len(state.scored):
            return {"scored": float(len(state.scored))}  # the space holds no more
        return {"step": float(len(state.first))} | self.tried(task, state, wanted[len(state.scored)])

    def step(self, task: Task, state: CompoundState) -> list[Architecture]:
        """What the step that begins wants trained."""
        if len(state.first) == 1:
            return self.wanted(task)
        if len(state.first) == 2:
            return [a for _, a in self.ways(task, state)]
        return [a for _, a in self.family(task, state)]

    def fits(self, task: Task, architecture: Architecture) -> bool:
        """Whether a network may be trained at all."""
        prices = task.prices
        return prices is None or prices.rule == "dominance" or prices.fits(architecture)

    def work(self, task: Task) -> Callable[[Architecture], float]:
        """Multiply-accumulates for one more candle."""
        prices = task.price_list()
        return lambda architecture: prices.one("macs", architecture)

    def best(self, task: Task, state: StandaloneState, among: Collection[Architecture]) -> Architecture | None:
        """The best of some that were trained; None where none was."""
        known = {c.architecture: worth(task, c.architecture, c.scores) for c in state.scored}
        return min((a for a in among if a in known), key=lambda a: (-known[a], a.digest), default=None)

    def base(self, task: Task, state: CompoundState) -> Architecture:
        """The small network that is grown."""
        found = self.best(task, state, (state.wanted or [])[: state.first[1]])
        assert found is not None
        return found

    def ways(self, task: Task, state: CompoundState) -> list[tuple[Factors, Architecture]]:
        """The grid over it."""
        return grid(
            task.space, self.base(task, state), self.work(task),
            growth=self.growth, constraint=self.constraint, num=self.num_grid,
        )  # fmt: skip

    def family(self, task: Task, state: CompoundState) -> list[tuple[int, Architecture]]:
        """The small network, then it grown by powers of the best way as far as the space goes."""
        base, ways = self.base(task, state), self.ways(task, state)
        best = self.best(task, state, [a for _, a in ways])
        factors = next((f for f, a in ways if a == best), None)
        members = {base: 0}
        for phi in range(1, self.steps + 1) if factors is not None else ():
            assert factors is not None
            members.setdefault(scaled(task.space, base, factors.power(phi)), phi)
        return [(phi, a) for a, phi in members.items()]

    def finish(self, task: Task, state: StandaloneState) -> list[Candidate]:
        return best_first(task, state.scored)

    def records(self, task: Task, state: StandaloneState) -> dict[str, Any]:
        """`scaling`: what the work grows with, the grid, and the family with its prices and scores."""
        assert isinstance(state, CompoundState)
        base, work = self.base(task, state), self.work(task)
        scores = {c.architecture: c.scores for c in state.scored}

        def told(architecture: Architecture) -> dict[str, Any]:
            return {
                "architecture": dict(architecture), "digest": architecture.digest, "macs": work(architecture),
                "growth": work(architecture) / work(base), "scores": scores.get(architecture),
            }  # fmt: skip

        ways = self.ways(task, state)
        best = self.best(task, state, [a for _, a in ways])
        return {
            "scaling": {
                "constraint": self.constraint,
                "exponents": exponents(task.space, base, work),
                "factors": next((asdict(f) for f, a in ways if a == best), None),
                "grid": [{**asdict(f), "paper": f.paper, **told(a)} for f, a in ways],
                "family": [{"phi": phi, **told(a)} for phi, a in self.family(task, state)],
            }
        }
