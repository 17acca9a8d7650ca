"""Costs that are a maximum: the slowest of parallel branches, the widest moment of a run.

A maximum of means is not differentiable where two are equal, and only one part would feel a gradient.  Instead

    smooth = tau log sum_k p_k exp(mean_k / tau)

over the parts k, each there with chance p_k and then costing mean_k on average.  Its bounds, with the parts that are
certainly there (p = 1) on the left:

    max_{p_k = 1} mean_k  <=  smooth  <=  max_{p_k > 0} mean_k + tau log sum_k p_k

Of one architecture it is at most tau log(number of parts) above the exact value.  Under weights it stands for the
maximum of the means, which is no more than the mean of the maximum (Jensen): a search pushes it down from below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tradenas.cost.additive import AdditiveCost, Term
from tradenas.cost.probabilities import chances
from tradenas.errors import SpaceError
from tradenas.nn import Mixture
from tradenas.space import Graph, Picked, SearchSpace

__all__ = ["LongestPath", "Part", "SmoothMax"]

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Part:
    """Something that an architecture has or has not.

    Attributes:
        cost: of it; 0 where it is not there.
        there: 1 where it is there, and 0 otherwise.
    """

    cost: AdditiveCost
    there: AdditiveCost

    def mean(self, mixture: Mixture) -> tuple[Tensor, Tensor]:
        """The chance that it is there, and what it costs on average where it is."""
        chance, cost = self.there.expected(mixture), self.cost.expected(mixture)
        return chance, cost / chance if float(chance.detach()) > 0.0 else cost


class SmoothMax:
    """The most that any part costs.

    Args:
        parts: at least one of which each architecture has.
        temperature: tau, in the unit of the cost: the smaller, the closer to the maximum.

    Raises:
        SpaceError: no parts, or a temperature that is not above 0.
    """

    def __init__(self, parts: Sequence[Part], *, temperature: float) -> None:
        _check_temperature(temperature)
        if not parts:
            raise SpaceError("SmoothMax.parts", got="none", expected="at least one")
        self.parts, self.temperature = tuple(parts), temperature

    def exact(self, architecture: Mapping[str, Picked]) -> float:
        """Of one architecture."""
        return max(part.cost.exact(architecture) for part in self.parts if part.there.exact(architecture) > 0)

    def expected(self, mixture: Mixture) -> Tensor:
        """The smooth maximum of the means, differentiable by the weights."""
        return _smooth([part.mean(mixture) for part in self.parts], self.temperature)


class LongestPath:
    """Through cells whose edges run beside each other: a node waits for the slowest of what it sums.

        exact:      v_j = max_e (v_i + cost_e)             over the open edges e = (i, j)
        expected:   v_j = tau log sum_e p_e exp((v_i + mean_e) / tau)

    The expected value is tau times the log of a sum over all paths of exp(cost / tau), each times the chances of its
    edges.  What runs before and after the cells is an `AdditiveCost` to be added.

    Args:
        space: of a body of cells.
        costs: of each edge (i, j), a number for each option of its op; that of `zero` does not matter.
        read: of mapping what a cell reads to its own channels.
        temperature: tau, in the unit of the costs.
    """

    def __init__(
        self, space: SearchSpace, costs: Mapping[Pair, Sequence[float]], *, read: float = 0.0, temperature: float
    ) -> None:
        _check_temperature(temperature)
        self.space, self.read, self.temperature = space, read, temperature
        self.graph = Graph.of((c.name for c in space.choices), space["cell/output"].options[0])
        self.edges: dict[Pair, Part] = {}
        for (i, j), each in costs.items():
            name = f"cell/edge{i}-{j}/op"
            opens = torch.tensor([float(o != "zero") for o in space[name].options], dtype=torch.float64)
            cost = Term((name,), torch.tensor(list(each), dtype=torch.float64) * opens)
            self.edges[i, j] = Part(AdditiveCost(space, [cost]), AdditiveCost(space, [Term((name,), opens)]))

    def exact(self, architecture: Mapping[str, Picked]) -> float:
        """The longest path of an architecture; 0 where nothing passes."""
        open_ = {p: part.cost.exact(architecture) for p, part in self.edges.items() if part.there.exact(architecture)}
        done = {-1: 0.0}
        for k in range(int(str(architecture["cells"]))):
            at = {i: done[m] + self.read for i in range(self.graph.inputs) if (m := self._before(k, i)) in done}
            for (i, j), cost in sorted(open_.items(), key=lambda item: item[0][1]):
                if i in at:
                    at[j] = max(at.get(j, 0.0), at[i] + cost)
            if found := [at[j] for j in self.graph.outputs if j in at]:
                done[k] = max(found)
        return done.get(int(str(architecture["cells"])) - 1, 0.0)

    def expected(self, mixture: Mixture) -> Tensor:
        """The smooth longest path, differentiable by the weights."""
        found = chances(self.space, mixture)
        means = {pair: part.mean(mixture) for pair, part in self.edges.items()}
        one = torch.ones((), dtype=torch.float64)
        done = {-1: torch.zeros((), dtype=torch.float64)}
        depths = [int(str(d)) for d in self.space["cells"].options]
        for k in range(max(depths)):
            at = {i: done[m] + self.read for i in range(self.graph.inputs) if (m := self._before(k, i)) in done}
            for j in self.graph.nodes:
                entering = [(p, at[i] + c) for (i, target), (p, c) in means.items() if target == j and i in at]
                if any(float(p.detach()) > 0.0 for p, _ in entering):
                    at[j] = _smooth(entering, self.temperature)
            if outs := [(one, at[j]) for j in self.graph.outputs if j in at]:
                done[k] = _smooth(outs, self.temperature)
        total = torch.zeros((), dtype=torch.float64)
        for depth, chance in zip(depths, found["cells"], strict=True):
            total = total + chance * done.get(depth - 1, 0.0)
        return total

    def _before(self, cell: int, node: int) -> int:
        return max(-1, cell - (self.graph.inputs - node))


def _check_temperature(temperature: float) -> None:
    if not 0.0 < temperature < float("inf"):
        raise SpaceError("temperature", got=temperature, expected="a number above 0")


def _smooth(parts: Sequence[tuple[Tensor, Tensor]], temperature: float) -> Tensor:
    """Tau log sum_k p_k exp(m_k / tau) of chances and means."""
    there = [(p, m) for p, m in parts if float(p.detach()) > 0.0]
    logits = torch.stack([torch.log(p) + m / temperature for p, m in there])
    return temperature * torch.logsumexp(logits, dim=0)
