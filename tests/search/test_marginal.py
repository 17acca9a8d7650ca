"""Effects of options: what is planted in made-up merits is found, and luck of the rows is not."""

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.search.parts.marginal import contrasts, effects
from tradenas.seeds import rng_for
from tradenas.space import Chain

TABLE = {"move": "returns", "rsi": "momentum", "cci": "momentum", "volume": "volume"}
SPACE = Chain(
    depths=(1, 2), ops=("skip", "dense", "conv3"), widths=(4, 8), activations=("relu",), norms=("none",),
    dropouts=(0.0,), lookbacks=(5, 20, 50), transforms=("raw", "rank"), features=tuple(TABLE),
).space(TABLE)  # fmt: skip
WORTH = {5: 0.0, 20: 0.3, 50: 0.2}


def merits_of(drawn, *, seed=0, parts=12, rows=0.0):
    """Merit: the lookback's worth, 0.5 for reading `volume` (not with `cci`), noise of each architecture and part.

    `rows`: spread over parts of what `rsi` seems to be worth there, whatever the architecture.
    """
    told, luck_K = {}, rng_for(seed, "luck").standard_normal(parts) * rows
    for architecture in {a for each in drawn.values() for contrast in each for a in contrast.values()}:
        rng = rng_for(seed, "noise", architecture.digest)
        value = WORTH[architecture["input/lookback"]]
        both = architecture["input/feature/volume"] == "on" and architecture["input/feature/cci"] == "off"
        rsi = luck_K if architecture["input/feature/rsi"] == "on" else 0.0
        told[architecture] = value + 0.5 * both + rsi + 0.02 * rng.standard_normal(parts)
    return told


def by_option(found):
    return {(e.choice, e.option): e for e in found}


def test_contrasts_differ_in_one_choice_and_what_it_opens():
    drawn = contrasts(SPACE, 20, seed=3)
    assert set(drawn) == {c.name for c in SPACE.choices if len(c.options) > 1}
    for name, each in drawn.items():
        for contrast in each:
            assert set(contrast) == set(SPACE[name].options)
            for option, architecture in contrast.items():
                assert SPACE.check(architecture)[name] == option
                for other in contrast.values():
                    shared = (set(architecture) & set(other)) - {name}
                    assert all(architecture[n] == other[n] for n in shared)
    assert len(drawn["input/lookback"]) == 20
    deeper = list(drawn["layer1/op"])
    assert 0 < len(deeper) < 20  # only where there is a second layer
    assert contrasts(SPACE, 5, seed=3) == {
        name: each[: len(contrasts(SPACE, 5, seed=3)[name])] for name, each in drawn.items()
    }


def test_the_last_input_is_no_contrast():
    few = Chain(depths=(1,), ops=("dense",), widths=(4,), activations=("relu",), norms=("none",), dropouts=(0.0,),
                lookbacks=(5,), features=("move", "rsi")).space({"move": "a", "rsi": "b"})  # fmt: skip
    drawn = contrasts(few, 40, seed=0)
    for name, other in (("move", "rsi"), ("rsi", "move")):
        each = drawn[f"input/feature/{name}"]
        assert 0 < len(each) < 40
        assert all(a[f"input/feature/{other}"] == "on" for contrast in each for a in contrast.values())


def test_planted_effects_are_found_and_nothing_else():
    drawn = contrasts(SPACE, 60, seed=1)
    found = by_option(effects(drawn, merits_of(drawn), seed=1))
    for lookback, worth in WORTH.items():
        others = np.mean([w for o, w in WORTH.items() if o != lookback])
        e = found["input/lookback", lookback]
        assert e.effect == pytest.approx(worth - others, abs=0.02)
        assert e.low < worth - others < e.high
    volume, cci = found["input/feature/volume", "on"], found["input/feature/cci", "on"]
    assert volume.effect == pytest.approx(0.25, abs=0.08)  # helps in the half without cci
    assert volume.low > 0.1
    assert found["input/feature/volume", "off"].effect == pytest.approx(-volume.effect)
    assert cci.effect < -0.1
    for name in ("input/feature/rsi", "input/feature/move", "input/transform", "layer0/op", "layer0/width", "depth"):
        for option in SPACE[name].options:
            e = found[name, option]
            assert abs(e.effect) < 0.02
            assert e.low < 0 < e.high or abs(e.effect) < 0.005
    assert found["input/lookback", 20].value > found["input/lookback", 5].value


def test_an_indicator_that_was_lucky_on_some_rows_is_not_sure():
    """Every architecture that reads it gains on the same parts: a bootstrap over architectures alone is certain."""
    drawn = contrasts(SPACE, 60, seed=1)
    missed = 0
    for seed in range(20):
        e = by_option(effects(drawn, merits_of(drawn, seed=seed, rows=0.3), seed=seed, reps=400))[
            "input/feature/rsi", "on"
        ]
        assert e.high - e.low > 0.15
        missed += not e.low < 0.0 < e.high
    assert missed <= 3


def test_failed_parts_are_passed_over_and_failed_architectures_left_out():
    drawn = contrasts(SPACE, 12, seed=2)
    merits = merits_of(drawn)
    broken = drawn["input/lookback"][0][50]
    merits[broken] = np.full(12, np.nan)
    whole = by_option(effects(drawn, merits, seed=0))
    assert whole["input/lookback", 20].num == 11
    for merit_K in merits.values():
        merit_K[4] = np.nan
    found = by_option(effects(drawn, merits, seed=0))
    assert found["input/lookback", 20].effect == pytest.approx(whole["input/lookback", 20].effect, abs=0.03)
    assert np.isfinite([e.low for e in found.values()]).all()


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(ConfigError, match="level"):
        effects({}, {}, level=1.0)
