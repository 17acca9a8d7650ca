"""What each option is worth, all else equal: main effects from pairs, not from whom a search happened to look at.

A search looks most often at what it likes, so the mean score of its candidates with an option flatters the options that
came with other good ones.  Here architectures are drawn uniformly, and of each every neighbour is scored that differs
from it in one choice (where the change opens further choices, these are drawn).  With b the drawn architectures, k the
parts of the ranking rows, and m merits:

    value(o)     mean over b, k of m[b with o, k]
    effect(o)    mean over b, k of m[b with o, k] - mean over the other options p of m[b with p, k]
    interval     percentiles over resamples that draw b, and apart from them k, anew with replacement

The rows are drawn as well as the architectures: an indicator that happened to help on these rows helps all the
architectures that read it, and only other rows can say that it was luck.  With crossed factors the interval is a little
too wide (Owen 2007, arXiv:0712.1111, section 3), not too narrow.  For a switch the effect of `on` is on less off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tradenas.errors import ConfigError
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Choice, Option, Picked, SearchSpace, draw
from tradenas.typing import FloatArray

__all__ = ["Contrast", "Effect", "contrasts", "effects"]

#: One drawn architecture under every option of one choice.
Contrast = Mapping[Option, Architecture]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one option of one choice is worth.

    Attributes:
        choice: name of the choice.
        option: one of its options.
        value: mean merit with it.
        effect: merit with it less the mean with the other options of the same choice.
        low: lower end of the interval of the effect.
        high: its upper end.
        num: drawn architectures in which the choice is made and every option could be scored.
    """

    choice: str
    option: Option
    value: float
    effect: float
    low: float
    high: float
    num: int


def contrasts(space: SearchSpace, count: int, *, seed: int) -> dict[str, list[Contrast]]:
    """For each choice that is one: `count` architectures drawn uniformly, under each of its options.

    A choice is left out of an architecture that does not make it, and an option where the space does not allow it (the
    last input cannot be switched off): such a contrast is not complete and is not drawn.

    >>> from tradenas.space import Choice
    >>> space = SearchSpace([Choice(name="a", options=(1, 2, 3)), Choice(name="b", options=("x",))])
    >>> pairs = contrasts(space, 2, seed=0)
    >>> list(pairs), [sorted(c) for c in pairs["a"]]
    (['a'], [[1, 2, 3], [1, 2, 3]])
    """
    found: dict[str, list[Contrast]] = {c.name: [] for c in space.choices if c.take == 1 and len(c.options) > 1}
    rng = rng_for(seed, "marginal", "draw")
    for number in range(count):
        base = space.sample(rng)
        for name in found:
            if name in base:
                each = {o: _with(space, base, name, o, seed=seed, number=number) for o in space[name].options}
                if all(a.get(n, p) == (o if n == name else p) for o, a in each.items() for n, p in base.items()):
                    found[name].append(each)
    return found


def _with(space: SearchSpace, base: Architecture, name: str, option: Option, *, seed: int, number: int) -> Architecture:
    """`base` with one choice changed; choices that this opens are drawn alike for every option."""
    if base[name] == option:
        return base

    def pick(choice: Choice) -> Picked:
        if choice.name == name:
            return option
        if choice.name in base:
            return base[choice.name]
        return draw(choice, rng_for(seed, "marginal", number, choice.name))

    return space.walk(pick)


def effects(
    drawn: Mapping[str, Sequence[Contrast]],
    merits: Mapping[Architecture, FloatArray],
    *,
    reps: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> list[Effect]:
    """Values and effects of every option, with intervals; choices without two complete contrasts are left out.

    Args:
        drawn: from `contrasts`.
        merits: of each architecture on each part of the rows, (K,); parts that are not finite are passed over.
        reps: resamples behind each interval.
        level: coverage.

    Raises:
        ConfigError: `level` is not between 0 and 1, or `reps` below 2.
    """
    if not 0.0 < level < 1.0 or reps < 2:
        raise ConfigError("effects", got=f"level={level}, reps={reps}", expected="a level within 0..1, reps 2 or more")
    told: list[Effect] = []
    for name, each in drawn.items():
        merits_BOK = np.array([[merits[a] for a in contrast.values()] for contrast in each], dtype=np.float64)
        if len(each) < 2:
            continue
        merits_BOK = merits_BOK[np.all(np.isfinite(merits_BOK).any(axis=2), axis=1)]
        if len(merits_BOK) < 2:
            continue
        options = list(each[0])
        others_BOK = (merits_BOK.sum(axis=1, keepdims=True) - merits_BOK) / (len(options) - 1)
        rng = rng_for(seed, "marginal", "bootstrap", name)
        for o, option in enumerate(options):
            difference_BK = merits_BOK[:, o] - others_BOK[:, o]
            mean, low, high = _crossed(difference_BK, reps=reps, level=level, rng=rng)
            value = float(np.nanmean(merits_BOK[:, o]))
            told.append(
                Effect(choice=name, option=option, value=value, effect=mean, low=low, high=high, num=len(merits_BOK))
            )
    return told


def _crossed(values_BK: FloatArray, *, reps: int, level: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Mean over both axes, and its interval when both are drawn anew."""
    rows, parts = values_BK.shape
    known_BK = np.isfinite(values_BK)
    filled_BK = np.where(known_BK, values_BK, 0.0)
    count_RB = rng.multinomial(rows, np.full(rows, 1 / rows), size=reps).astype(np.float64)
    count_RK = rng.multinomial(parts, np.full(parts, 1 / parts), size=reps).astype(np.float64)
    sum_R = np.einsum("rb,bk,rk->r", count_RB, filled_BK, count_RK, optimize=True)
    num_R = np.einsum("rb,bk,rk->r", count_RB, known_BK.astype(np.float64), count_RK, optimize=True)
    means_R = sum_R[num_R > 0] / num_R[num_R > 0]
    low, high = np.quantile(means_R, [(1 - level) / 2, (1 + level) / 2])
    return float(filled_BK.sum() / known_BK.sum()), float(low), float(high)
