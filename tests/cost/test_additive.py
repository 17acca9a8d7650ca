"""Sums of tables: any conditions between choices, any kind of weighting, excluded architectures."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cost.networks import chance, mixed
from tradenas.cost import AdditiveCost, Term
from tradenas.cost.probabilities import values_of
from tradenas.errors import MixtureError, SpaceError
from tradenas.nn import hard, soft
from tradenas.seeds import rng_for
from tradenas.space import Choice, SearchSpace

torch.set_num_threads(1)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Up to five choices that hang on each other anyhow, some of which take two options."""
    choices: list[Choice] = []
    for i in range(draw(st.integers(1, 5))):
        options = tuple(range(draw(st.integers(1, 3))))
        take = draw(st.integers(1, min(2, len(options))))
        when = {}
        for other in choices:
            if draw(st.integers(0, 3)) == 0:
                when[other.name] = tuple(o for o in other.options if draw(st.booleans())) or other.options[:1]
        choices.append(Choice(name=f"c{i}", options=options, take=take, when=when))
    free = [c for c in choices if not c.when and c.take == 1 and len(c.options) > 1]
    return SearchSpace(choices, not_all={c.name: c.options[-1] for c in free} if draw(st.booleans()) else None)


def cost_over(space: SearchSpace, seed: int) -> AdditiveCost:
    """A table for every one, two and three choices, and a constant."""
    rng = rng_for(seed, "tables")
    names = [c.name for c in space.choices]
    groups = [g for k in range(4) for g in itertools.combinations(names, k)]
    shapes = [tuple(len(values_of(space[n])) for n in g) for g in groups]
    return AdditiveCost(
        space, [Term(g, torch.from_numpy(np.asarray(rng.normal(size=s)))) for g, s in zip(groups, shapes, strict=True)]
    )


@settings(max_examples=50, deadline=None)
@given(spaces(), st.integers(0, 1000))
def test_expectation_is_the_mean_over_the_space(space: SearchSpace, seed: int) -> None:
    cost, weights, everything = cost_over(space, seed), mixed(space, seed), list(space)
    chances = [chance(space, a, weights) for a in everything]
    want = sum(p * cost.exact(a) for p, a in zip(chances, everything, strict=True)) / sum(chances)
    assert float(cost.expected(weights)) == pytest.approx(want, rel=1e-10, abs=1e-10)


@settings(max_examples=30, deadline=None)
@given(spaces(), st.integers(0, 1000))
def test_a_path_costs_the_same_exactly_and_expected(space: SearchSpace, seed: int) -> None:
    cost, rng = cost_over(space, seed), rng_for(seed, "paths")
    for architecture in [space.sample(rng) for _ in range(3)]:
        exact = cost.exact(architecture)
        assert float(cost.expected(hard(space, architecture))) == pytest.approx(exact, rel=1e-12, abs=1e-12)
        if all(c.name in architecture for c in space.choices if c.take > 1):
            ones = soft(space, architecture, dtype=torch.float64)
            assert float(cost.expected(ones)) == pytest.approx(exact, rel=1e-12, abs=1e-12)


@settings(max_examples=10, deadline=None)
@given(spaces(), st.integers(0, 1000))
def test_gradients_reach_the_weights_only(space: SearchSpace, seed: int) -> None:
    cost, weights = cost_over(space, seed), mixed(space, seed)
    alphas = [w.log().clone().requires_grad_() for w in weights.values()]

    def value(*alphas: torch.Tensor) -> torch.Tensor:
        return cost.expected({n: a.softmax(0) for n, a in zip(weights, alphas, strict=True)})

    if any(len(c.options) > c.take for c in space.choices):
        assert torch.autograd.gradcheck(value, alphas, fast_mode=True)
    assert not any(term.table.requires_grad for term in cost.terms)


def test_the_mean_over_drawn_architectures_agrees() -> None:
    """Not the enumeration again: `SearchSpace.sample` draws, including what it draws again."""
    space = SearchSpace(
        [
            Choice(name="a", options=("off", "on")),
            Choice(name="b", options=("off", "on")),
            Choice(name="c", options=(1, 2, 3), take=2, when={"a": ("on",)}),
        ],
        not_all={"a": "off", "b": "off"},
    )
    cost = cost_over(space, 0)
    even = {c.name: torch.full((len(c.options),), 1.0 / len(c.options)).double() for c in space.choices}
    rng = rng_for(0, "drawn")
    drawn = np.array([cost.exact(space.sample(rng)) for _ in range(4000)])
    assert abs(drawn.mean() - float(cost.expected(even))) < 4 * drawn.std() / len(drawn) ** 0.5


def test_indices_tuples_and_weights_stand_beside_each_other() -> None:
    space = SearchSpace([Choice(name="a", options=(1, 2, 3)), Choice(name="b", options=(1, 2, 3), take=2)])
    cost = AdditiveCost(
        space, [Term(("a",), torch.tensor([1.0, 2.0, 4.0])), Term(("b",), torch.tensor([10.0, 20.0, 30.0]))]
    )
    assert float(cost.expected({"a": (0, 2), "b": (0, 2)})) == 2.5 + 20.0
    assert float(cost.expected({"a": 1, "b": torch.tensor([0.0, 1.0, 1.0])})) == 2.0 + 30.0
    assert float(cost.scaled(2.0).expected({"a": 1, "b": (0, 1)})) == 24.0
    assert (cost + cost).exact({"a": 3, "b": (1, 2)}) == 28.0


def test_what_is_not_a_mixture_is_refused() -> None:
    space = SearchSpace([Choice(name="a", options=(1, 2)), Choice(name="b", options=(1, 2), when={"a": (2,)})])
    cost = AdditiveCost(space, [Term(("b",), torch.tensor([1.0, 2.0]))])
    assert float(cost.expected({"a": 0})) == 0.0  # b cannot be active
    for mixture in (
        {"a": 1},
        {"a": torch.tensor([0.9, 0.9]), "b": 0},
        {"a": torch.tensor([-0.5, 1.5]), "b": 0},
        {"a": torch.tensor([0.5, float("nan")]), "b": 0},
        {"a": 2, "b": 0},
    ):
        with pytest.raises(MixtureError):
            cost.expected(mixture)
    closed = SearchSpace([Choice(name=n, options=("off", "on")) for n in "ab"], not_all={"a": "off", "b": "off"})
    with pytest.raises(MixtureError, match="all closed"):
        AdditiveCost(closed, []).expected({"a": 0, "b": 0})


def test_tables_that_do_not_fit_are_refused() -> None:
    space = SearchSpace([Choice(name=n, options=(1, 2)) for n in "abcdefg"])
    for term in (Term(("a",), torch.ones(3)), Term(tuple("abcdefg"), torch.ones([2] * 7))):
        with pytest.raises(SpaceError):
            AdditiveCost(space, [term])
    with pytest.raises(SpaceError, match="times"):
        AdditiveCost(space, [Term(("a",), torch.ones(2), times="cells")])
    other = SearchSpace([Choice(name="a", options=(1, 2))])
    with pytest.raises(SpaceError, match="space"):
        AdditiveCost(space, []) + AdditiveCost(other, [])
