"""A mixture read as chances: how likely each value of each choice is, and how likely a choice is there at all.

Choices are drawn independently of each other, those that are not active are not drawn.  So the chance that a choice is
active is a product of one factor for each choice that it hangs on, and sums over all architectures become products of
small sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from tradenas.errors import MixtureError
from tradenas.nn import Mixture
from tradenas.nn.mixture import weighting
from tradenas.space import Choice, Picked, SearchSpace

__all__ = ["Masks", "chances", "chances_of", "conditions", "values_of"]

#: For some choices, which of their values (in the order of `values_of`) keep something active: 1.0 or 0.0.
Masks = dict[str, Tensor]

#: How far the weights of a choice may be from a sum of 1.
TOLERANCE = 1e-3


def values_of(choice: Choice) -> list[Picked]:
    """What a choice may take: an option, or a sorted tuple of options of a choice that takes several."""
    return list(choice.values())


def conditions(space: SearchSpace, names: Iterable[str]) -> Masks:
    """What has to be picked so that all these choices are active, straight or by way of those that they hang on."""
    masks: Masks = {}
    waiting = list(names)
    while waiting:
        for name, allowed in space[waiting.pop()].when.items():
            open_ = [bool(set(v if isinstance(v, tuple) else (v,)) & set(allowed)) for v in values_of(space[name])]
            mask = torch.tensor(open_, dtype=torch.float64)
            masks[name] = masks[name] * mask if name in masks else mask
            waiting.append(name)
    return masks


def chances_of(choice: Choice, mixture: Mixture) -> Tensor:
    """The chance of each value of one choice, in float64 on the CPU; gradients flow to the weights.

    An index is certain.  Several indices of a choice that takes one are equally likely.  Weights of a choice that takes
    one are the chances themselves.  Of a choice that takes k, a set S of k options has a chance in proportion to the
    product of its weights (k draws, had again until they differ): 0 and 1 give that very set, equal weights make all
    sets equally likely, and whatever the weights add up to, k options are taken.

    Raises:
        MixtureError: weights that are negative, do not sum to 1 (where one option is taken), or leave too few options.
    """
    which = weighting(choice, mixture)
    if isinstance(which, Tensor):
        weights_O = which.to("cpu", torch.float64)
        plain = weights_O.detach()
        if bool((plain < -TOLERANCE).any()) or not bool(torch.isfinite(plain).all()):
            raise MixtureError(choice.name, got=str(plain.tolist()), expected="weights from 0 on")
        if choice.take == 1:
            if abs(float(plain.sum()) - 1.0) > TOLERANCE:
                raise MixtureError(
                    choice.name,
                    got=f"weights that sum to {float(plain.sum()):.4g}",
                    expected="chances, which sum to 1",
                    fix="divide gates by their sum before asking what they cost",
                )
            return weights_O
        sets = torch.tensor([[choice.index(o) for o in v] for v in values_of(choice) if isinstance(v, tuple)])
        odds_V = weights_O[sets].prod(-1)
        if float(odds_V.detach().sum()) <= 0.0:
            raise MixtureError(choice.name, got=str(plain.tolist()), expected=f"{choice.take} weights above 0")
        return odds_V / odds_V.sum()
    indices = which if isinstance(which, tuple) else (which,)
    values = values_of(choice)
    chances_V = torch.zeros(len(values), dtype=torch.float64)
    if choice.take == 1:
        for index in indices:
            chances_V[index] += 1.0 / len(indices)
        return chances_V
    taken = tuple(choice.options[i] for i in sorted(set(indices)))
    if taken not in values:
        raise MixtureError(choice.name, got=str(indices), expected=f"{choice.take} different indices")
    chances_V[values.index(taken)] = 1.0
    return chances_V


def chances(space: SearchSpace, mixture: Mixture) -> dict[str, Tensor]:
    """The chances of every choice; one that cannot be active need not be in the mixture.

    Raises:
        MixtureError: a choice that can be active is missing.
    """
    found: dict[str, Tensor] = {}
    for choice in space.choices:
        free = len(choice.options) > choice.take
        if free and choice.name not in mixture and _share(found, conditions(space, [choice.name])) == 0.0:
            number = len(values_of(choice))
            found[choice.name] = torch.full((number,), 1.0 / number, dtype=torch.float64)
        else:
            found[choice.name] = chances_of(choice, mixture)
    return found


def _share(found: Mapping[str, Tensor], masks: Masks) -> float:
    share = 1.0
    for name, mask in masks.items():
        share *= float((found[name].detach() * mask).sum())
    return share
