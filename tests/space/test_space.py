"""Spaces, architectures and the moves between them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas.errors import ArchitectureError, ConfigError, SpaceError
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Chain, Choice, SearchSpace, crossover, mutate

CHAIN = Chain(
    depths=(1, 2), widths=(8, 16), ops=("skip", "dense", "gated"), activations=("relu", "tanh"),
    norms=("none", "layer"), dropouts=(0.0,), lookbacks=(5, 10), transforms=("raw", "rank"), groups=("trend",),
)  # fmt: skip
SPACE = CHAIN.space()


def test_size_is_what_iteration_gives():
    listed = list(SPACE)
    assert len(listed) == len(set(listed)) == SPACE.size()


def test_the_chapters_space_is_counted_without_listing():
    assert Chain(depths=(1, 2, 3, 4, 5, 6), widths=(16, 32, 64, 128, 256)).space().size() > 10**15


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(0, 10**6))
def test_samples_belong_and_round_trip(seed):
    rng = rng_for(seed, "space")
    a, b = SPACE.sample(rng), SPACE.sample(rng)
    assert SPACE.check(a) == a
    assert Architecture.from_json(a.to_json()) == a
    child = crossover(SPACE, a, b, rng)
    assert SPACE.check(child) == child
    assert all(child[n] in (a.get(n), b.get(n)) for n in child if n in a or n in b)
    mutant = mutate(SPACE, a, rng, rate=0.2)
    assert SPACE.check(mutant) == mutant
    assert mutant != a


def test_sampling_is_uniform_over_each_choice():
    rng = rng_for(0, "uniform")
    drawn = [SPACE.sample(rng) for _ in range(6000)]
    ops = [a["layer1/op"] for a in drawn if a["depth"] == 2]
    shares = [ops.count(op) / len(ops) for op in ("skip", "dense", "gated")]
    assert np.allclose(shares, 1 / 3, atol=0.03)
    assert "skip" not in {a["layer0/op"] for a in drawn}


def test_inactive_choices_are_absent():
    shallow = SPACE.walk(lambda c: 1 if c.name == "depth" else c.options[0])
    assert not any(name.startswith("layer1") for name in shallow)
    gated = SPACE.walk(lambda c: "gated" if c.name == "layer0/op" else c.options[0])
    assert "layer0/activation" not in gated  # it ends in its own


def test_restrict_and_fix():
    fixed = SPACE.fix(SPACE.largest())
    assert fixed.size() == 1
    assert next(iter(fixed)) == SPACE.largest()
    assert SPACE.restrict({"depth": [1]}).size() == sum(a["depth"] == 1 for a in SPACE)
    with pytest.raises(ArchitectureError, match="densee"):
        SPACE.restrict({"layer0/op": ["densee"]})


@pytest.mark.parametrize(
    ("change", "match"),
    [({"depth": 3}, "depth"), ({"layer0/width": None}, "layer0/width"), ({"moon": 1}, "moon")],
)
def test_check_names_the_first_fault(change, match):
    broken = {**SPACE.smallest(), **change}
    broken = {k: v for k, v in broken.items() if v is not None}
    with pytest.raises(ArchitectureError, match=match):
        SPACE.check(broken)


def test_subsets_are_sorted_tuples():
    space = SearchSpace([Choice(name="edges", options=(0, 1, 2, 3), take=2)])
    assert space.size() == 6
    assert {a["edges"] for a in space} == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}
    assert Architecture.from_json(space.smallest().to_json()) == space.smallest()
    with pytest.raises(ArchitectureError):
        space.check({"edges": (1, 0)})


@pytest.mark.parametrize(
    "make",
    [
        lambda: Choice(name="a.b", options=(1,)),
        lambda: Choice(name="a", options=()),
        lambda: Choice(name="a", options=(1, 1)),
        lambda: Choice(name="a", options=(1, 2), take=3),
        lambda: SearchSpace([Choice(name="a", options=(1,)), Choice(name="a", options=(2,))]),
        lambda: SearchSpace([Choice(name="a", options=(1,), when={"b": (1,)})]),
        lambda: SearchSpace([Choice(name="a", options=(1,)), Choice(name="b", options=(1,), when={"a": (2,)})]),
        lambda: Chain(depths=(0,)),
        lambda: Chain(widths=(32, 16)),
        lambda: Chain(dropouts=(1.0,)),
    ],
)
def test_contradictions_are_refused(make):
    with pytest.raises(SpaceError):
        make()


def test_unknown_choice_has_a_hint():
    with pytest.raises(SpaceError, match="Did you mean 'depth'"):
        SPACE["dept"]


def test_unknown_op_has_a_hint():
    from tradenas.nn.ops import OPS

    with pytest.raises(ConfigError, match="Did you mean 'conv3'"):
        OPS["conv33"]


def test_describe_reads_like_a_sentence():
    text = SPACE.largest().describe()
    assert text == "lookback 10, transform rank, trend | gated 16 layer | gated 16 layer"
