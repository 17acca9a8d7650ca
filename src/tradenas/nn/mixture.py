"""How a network is told which architecture to be: for each choice an index, indices, or a weight per option."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tradenas.errors import MixtureError
from tradenas.space import Architecture, Choice, Picked, SearchSpace

__all__ = ["Mixture", "Weighting", "expected", "hard", "soft", "weighting"]

#: Index of the one option (run it, slice to it), indices of the options taken, or a weight for each option.
Weighting = int | tuple[int, ...] | Tensor
Mixture = Mapping[str, Weighting]


def hard(space: SearchSpace, architecture: Mapping[str, Picked]) -> dict[str, int | tuple[int, ...]]:
    """The mixture that runs one path: an index for every active choice."""
    mixture: dict[str, int | tuple[int, ...]] = {}
    for name, picked in architecture.items():
        choice = space[name]
        mixture[name] = tuple(choice.index(o) for o in picked) if isinstance(picked, tuple) else choice.index(picked)
    return mixture


def soft(space: SearchSpace, architecture: Architecture, *, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The same architecture as weights of 0 and 1 over every choice; choices that are not active get option 0.

    What an inactive choice holds cannot matter, because the branch that would read it has weight 0.
    """
    mixture = {}
    for choice in space.choices:
        weights = torch.zeros(len(choice.options), dtype=dtype)
        picked = architecture.get(choice.name, choice.options[0])
        for option in picked if isinstance(picked, tuple) else (picked,):
            weights[choice.index(option)] = 1.0
        mixture[choice.name] = weights
    return mixture


def weighting(choice: Choice, mixture: Mixture) -> Weighting:
    """What the mixture says of a choice; one without an alternative need not be there.

    Raises:
        MixtureError: the choice is missing, the index is outside the options, or the weights have another length.
    """
    if choice.name not in mixture:
        if len(choice.options) == choice.take:
            return 0 if choice.take == 1 else tuple(range(choice.take))
        raise MixtureError(
            choice.name,
            got="nothing",
            expected="an index or a weight per option",
            fix="build mixtures with tradenas.nn.hard(space, architecture)",
        )
    value = mixture[choice.name]
    if isinstance(value, Tensor):
        if value.shape != (len(choice.options),):
            raise MixtureError(
                choice.name, got=f"weights of shape {tuple(value.shape)}", expected=f"({len(choice.options)},)"
            )
        return value
    for index in value if isinstance(value, tuple) else (value,):
        if not 0 <= index < len(choice.options):
            raise MixtureError(choice.name, got=index, expected=f"an index from 0 to {len(choice.options) - 1}")
    return value


def expected(weights_O: Tensor, choice: Choice) -> Tensor:
    """The weighted mean of numeric options (a dropout rate, say)."""
    values = torch.tensor([float(o) for o in choice.options], dtype=weights_O.dtype, device=weights_O.device)
    return weights_O @ values
