"""Evolution: children that are new, lawful and near their parents; and it ends when a space is used up."""

from __future__ import annotations

import pytest

from search.worlds import space
from tradenas.search.parts import evolution
from tradenas.search.parts.evolution import next_generation, sample_distinct
from tradenas.seeds import rng_for

SPACE = space()


def ranked(count, seed=0):
    return sample_distinct(SPACE, count, seed=seed, stream="ranked")


def breed(some, count=20, **changes):
    settings = {"parents": 5, "mutation_rate": 0.1, "seed": 0, "generation": 1, **changes}
    return next_generation(SPACE, some, count, **settings)


def test_children_are_new_distinct_and_lawful():
    some = ranked(15)
    children = breed(some)
    assert len(children) == len(set(children)) == 20
    assert not set(children) & set(some)
    for child in children:
        SPACE.check(child)


def test_half_are_mutations_and_half_crossovers_of_the_best(monkeypatch):
    some = ranked(15)
    elite = set(some[:5])
    mothers, pairs = [], []
    mutate, crossover = evolution.mutate, evolution.crossover
    monkeypatch.setattr(evolution, "mutate", lambda s, m, *a, **k: (mothers.append(m), mutate(s, m, *a, **k))[1])
    monkeypatch.setattr(evolution, "crossover", lambda s, a, b, r: (pairs.append((a, b)), crossover(s, a, b, r))[1])
    breed(some, count=60)
    assert len(mothers) >= 30
    assert len(pairs) >= 30
    assert set(mothers) == elite
    assert {a for pair in pairs for a in pair} == elite


def test_mutations_are_near_their_parent():
    (one,) = ranked(1)

    def differences(rate):
        children = breed([one], count=20, parents=1, mutation_rate=rate)
        return [sum(child[k] != one[k] for k in set(child) & set(one)) for child in children]

    few, many = differences(0.1), differences(1.0)
    assert sum(few) / 20 < 2.0 < sum(many) / 20


def test_a_seed_and_a_generation_name_the_children():
    some = ranked(15)
    assert breed(some) == breed(some)
    assert breed(some) != breed(some, generation=2)
    assert breed(some) != breed(some, seed=1)


def test_a_space_that_is_used_up_gives_what_is_left_and_ends():
    tiny = space(
        depths=(1,), widths=(4,), ops=("dense", "gru"), activations=("relu",), norms=("none",), dropouts=(0.0,)
    )
    every = list(tiny)
    assert len(every) == 4
    assert set(sample_distinct(tiny, 50, seed=0, stream="all")) == set(every)
    settings = {"parents": 2, "mutation_rate": 0.1, "seed": 0, "generation": 1}
    assert next_generation(tiny, every[:3], 10, **settings) == [every[3]]
    assert next_generation(tiny, every, 10, **settings) == []


def test_samples_are_distinct_and_leave_out_what_was_seen():
    first = sample_distinct(SPACE, 30, seed=0, stream="a")
    assert len(set(first)) == 30
    assert first[:10] == sample_distinct(SPACE, 10, seed=0, stream="a")
    later = sample_distinct(SPACE, 30, seed=0, stream="a", seen=first[:10])
    assert later[:20] == first[10:]
    assert sample_distinct(SPACE, 30, seed=0, stream="b") != first
    assert sample_distinct(SPACE, 0, seed=0, stream="a") == []


@pytest.mark.parametrize("rate", [0.05, 1.0])
def test_a_mutation_always_changes_something(rate):
    from tradenas.space import mutate

    rng = rng_for(0, "mutate")
    parent = SPACE.sample(rng)
    assert all(mutate(SPACE, parent, rng, rate=rate) != parent for _ in range(100))
