"""The share of training that each option can expect: exact, so counting a small space is the reference."""

from __future__ import annotations

from collections import Counter

import pytest

from tradenas.seeds import rng_for
from tradenas.space import Chain, Choice, SearchSpace, option_shares


def listed(space):
    """Shares by walking the whole space with the chance of each architecture."""
    found = {c.name: dict.fromkeys(c.options, 0.0) for c in space.choices}
    total = 0.0
    for architecture in space:
        chance = 1.0
        for name in architecture:
            chance /= len(space[name].options)
        total += chance
        for name, picked in architecture.items():
            found[name][picked] += chance
    assert total == pytest.approx(1.0)
    return found


def test_a_chain_is_counted_exactly():
    space = Chain(
        depths=(1, 2, 3), ops=("skip", "dense", "gated"), widths=(4, 8), activations=("relu", "tanh"),
        norms=("none", "layer"), dropouts=(0.0,), lookbacks=(5,),
    ).space()  # fmt: skip
    got, want = option_shares(space), listed(space)
    assert got.keys() == want.keys()
    for name in want:
        assert got[name] == pytest.approx(want[name])
    assert sum(got["layer2/op"].values()) == pytest.approx(1 / 3)


def test_several_options_taken_at_once_count_each():
    space = SearchSpace([
        Choice(name="inputs", options=("a", "b", "c"), take=2),
        Choice(name="op", options=("x", "y"), when={"inputs": ("c",)}),
    ])  # fmt: skip
    shares = option_shares(space)
    assert shares["inputs"] == pytest.approx({"a": 2 / 3, "b": 2 / 3, "c": 2 / 3})
    assert shares["op"] == pytest.approx({"x": 1 / 3, "y": 1 / 3})


def test_the_large_default_space_agrees_with_drawing_from_it():
    space = Chain().space()
    rng, count, seen = rng_for(0, "shares"), 2000, Counter()
    for _ in range(count):
        seen.update(space.sample(rng).items())
    for name, options in option_shares(space).items():
        for option, share in options.items():
            assert seen[name, option] / count == pytest.approx(share, abs=0.05), (name, option)
