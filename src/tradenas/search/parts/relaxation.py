"""From alphas to a mixture, and back to one architecture.

    softmax    p = softmax(a / T)                                       DARTS (arXiv:1806.09055) eq. 2, T annealed
    sigmoid    p_o = 1 / (1 + exp(-a_o)), each option by itself         FairDARTS (arXiv:1911.12126) eq. 1
               L01 = -mean (p - 1/2)^2                                  its eq. 3: pushes every p to 0 or 1
    gumbel     h = onehot(argmax (log p + g) / T), g = -log(-log u)     GDAS (arXiv:1910.04465) eq. 3-4
               forward h, backward the softmax of (log p + g) / T       straight through
               soft: that softmax forward too                           SNAS (arXiv:1812.09926) eq. 4
    discrete   the option with the largest weight                       DARTS sec. 2.4

An alpha is one tensor per choice, one number per option; choices without one are left to the caller's mixture.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tradenas.errors import ConfigError, DivergedError, MixtureError
from tradenas.seeds import rng_for, seed_for
from tradenas.space import Architecture, Choice, Option, Picked, SearchSpace

__all__ = [
    "Temperature",
    "alphas_for",
    "discretise",
    "edge_strengths",
    "gumbel",
    "sigmoid",
    "softmax",
    "strongest",
    "zero_one_loss",
]

#: Draws of Gumbel noise before giving up on finite numbers (GDAS draws until it has them).
MAX_DRAWS = 20


def alphas_for(
    choices: Iterable[Choice], *, seed: int, scale: float = 1e-3, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Fresh alphas for these choices: normal numbers times `scale` (DARTS: 1e-3), or zeros (FairDARTS).

    Each choice has a stream named after it, so that no alpha depends on which others there are.
    """
    return {
        c.name: torch.from_numpy(scale * rng_for(seed, "alphas", c.name).standard_normal(len(c.options))).to(dtype)
        for c in choices
    }


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """How sharply alphas speak, epoch by epoch: from a mixture of all options towards one.

    Attributes:
        first: in the first epoch.
        last: in the last epoch.
        fall: `geometric` divides by the same number each epoch (FBNet: 5, times exp(-0.045)), `linear` subtracts
            the same (GDAS: 10 to 0.1).
    """

    first: float = 1.0
    last: float = 1.0
    fall: Literal["geometric", "linear"] = "geometric"

    def __post_init__(self) -> None:
        for name in ("first", "last"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"temperature.{name}", got=getattr(self, name), expected="a number above 0")

    def at(self, epoch: int, epochs: int) -> float:
        """The temperature of one epoch out of `epochs`; after them it stays what it was in the last.

        >>> [round(Temperature(first=10.0, last=0.1, fall="linear").at(e, 3), 6) for e in range(3)]
        [10.0, 5.05, 0.1]
        >>> [round(Temperature(first=10.0, last=0.1).at(e, 3), 6) for e in range(3)]
        [10.0, 1.0, 0.1]
        """
        share = min(1.0, epoch / max(1, epochs - 1))
        if self.fall == "linear":
            return self.first + share * (self.last - self.first)
        return float(self.first * (self.last / self.first) ** share)


def softmax(alphas: Mapping[str, Tensor], *, temperature: float = 1.0) -> dict[str, Tensor]:
    """Weights that sum to 1: options compete.  Biased to options that learn fast, skips above all."""
    return {name: torch.softmax(a / temperature, dim=-1) for name, a in alphas.items()}


def sigmoid(alphas: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights from 0 to 1, each for itself: no option gains by another's loss."""
    return {name: torch.sigmoid(a) for name, a in alphas.items()}


def zero_one_loss(alphas: Mapping[str, Tensor]) -> Tensor:
    """FairDARTS's penalty on weights that are neither 0 nor 1: from 0 (all at 1/2) to -1/4; for the alpha step only.

    Its gradient is -(2 / N) (p - 1/2) p (1 - p): exactly 0 at alphas of 0, where FairDARTS begins, so that the first
    push comes from the task.
    """
    p = torch.cat([torch.sigmoid(a).flatten() for a in alphas.values()])
    return -(p - 0.5).square().mean()


def gumbel(
    alphas: Mapping[str, Tensor], *, temperature: float, seed: int | None, soft: bool = False
) -> dict[str, Tensor]:
    """One option of each choice, drawn with probability softmax(alpha), as weights of 0 and 1 that have a gradient.

    Args:
        temperature: of the gradient; it does not change what is drawn.
        soft: the weights that the gradient goes through, all above 0, instead of 0 and 1; the largest is drawn alike.
        seed: of the draw; the same seed draws the same.  None draws nothing and takes the likeliest option: for
            evaluation, where a random architecture would be scored otherwise.

    Raises:
        DivergedError: no finite weights after 20 draws; an alpha is not finite.
    """
    mixture = {}
    for name, a in alphas.items():
        generator = None
        if seed is not None:
            generator = torch.Generator(device=a.device).manual_seed(seed_for(seed, "gumbel", name))
        p = _noisy(name, torch.log_softmax(a, dim=-1), temperature, generator)
        if soft:
            mixture[name] = p
            continue
        chosen = torch.zeros_like(p).scatter(-1, p.argmax(-1, keepdim=True), 1.0)
        mixture[name] = chosen - p.detach() + p
    return mixture


def _noisy(name: str, log_p: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    for _ in range(MAX_DRAWS):
        noise = torch.zeros_like(log_p) if generator is None else _gumbel_noise(log_p, generator)
        p = torch.softmax((log_p + noise) / temperature, dim=-1)
        if bool(torch.isfinite(p).all()):
            return p
    raise DivergedError(f"alpha {name}", got=str(log_p.detach().tolist()), expected="finite numbers")


def _gumbel_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """-log E with E exponential, which is -log(-log u)."""
    drawn = torch.empty_like(like, requires_grad=False).exponential_(generator=generator)
    return -drawn.log()


def strongest(weights: Tensor, count: int = 1, *, leave_out: Collection[int] = ()) -> tuple[int, ...]:
    """Indices of the `count` largest weights, in rising order of index; of equal ones the first.

    Args:
        leave_out: indices that may not be taken while enough others are there (DARTS: `none` takes part in the
            softmax but not in the choice).

    Raises:
        DivergedError: a weight is not finite.
    """
    if not bool(torch.isfinite(weights).all()):
        raise DivergedError("weights of a choice", got=str(weights.tolist()), expected="finite numbers")
    order = torch.sort(weights.detach(), descending=True, stable=True).indices.tolist()
    order.sort(key=lambda i: i in leave_out)  # stable: the rest keeps its order
    return tuple(sorted(order[:count]))


def edge_strengths(
    space: SearchSpace, weights: Mapping[str, Tensor], *, leave_out: Collection[Option] = ()
) -> dict[str, Tensor]:
    """How strong each way into a node is: the largest weight of an op on that edge (DARTS sec. 2.4, two are kept).

    For every choice that takes several options and has no weights itself, an option counts as much as the strongest
    option of the choices that are active under it.  Softmax weights, not alphas, where options are left out: the
    weight of `none` is missing from the others.

    Args:
        leave_out: options that do not count, `none` in DARTS.
    """
    found = {}
    for choice in space.choices:
        if choice.take == 1 or choice.name in weights:
            continue
        strengths = []
        for option in choice.options:
            under = [c for c in space.choices if c.name in weights and option in c.when.get(choice.name, ())]
            open_ = [w for c in under for o, w in zip(c.options, weights[c.name], strict=True) if o not in leave_out]
            if not open_:
                raise MixtureError(f"{choice.name}, {option!r}", got="no weights under it", expected="weights of an op")
            strengths.append(torch.stack(open_).max())
        found[choice.name] = torch.stack(strengths)
    return found


def discretise(
    space: SearchSpace,
    weights: Mapping[str, Tensor],
    *,
    fixed: Mapping[str, Picked] | None = None,
    leave_out: Collection[Option] = (),
) -> Architecture:
    """The architecture that keeps the strongest option, or options, of every choice.

    Args:
        space: what may be chosen.
        weights: alphas or what a relaxation made of them; only their order matters.
        fixed: what choices without weights take; not needed where there is one option.
        leave_out: options not to be taken while enough others are there.

    Raises:
        MixtureError: a choice has neither weights nor a fixed value, or weights of another length.
        DivergedError: a weight is not finite.
    """
    fixed = fixed or {}
    spared = _spared(space, weights, fixed)

    def pick(choice: Choice) -> Picked:
        if choice.name in spared:
            return spared[choice.name]
        if choice.name in weights:
            if weights[choice.name].shape != (len(choice.options),):
                got = f"weights of shape {tuple(weights[choice.name].shape)}"
                raise MixtureError(choice.name, got=got, expected=f"({len(choice.options)},)")
            closed = [i for i, option in enumerate(choice.options) if option in leave_out]
            taken = tuple(choice.options[i] for i in strongest(weights[choice.name], choice.take, leave_out=closed))
        elif choice.name in fixed:
            return fixed[choice.name]
        elif len(choice.options) == choice.take:
            taken = choice.options
        else:
            raise MixtureError(choice.name, got="neither weights nor a fixed value", expected="one of them")
        return taken if choice.take > 1 else taken[0]

    return space.check(space.walk(pick))


def _spared(space: SearchSpace, weights: Mapping[str, Tensor], fixed: Mapping[str, Picked]) -> dict[str, Option]:
    """Of the choices that may not all go one way the one that wants it least, and its best other way.

    Where it wants another way anyhow, that is what it takes without being told.
    """
    behind: list[tuple[float, str, Option]] = []
    for name, off in space.not_all.items():
        options = space[name].options
        if name not in weights or weights[name].shape != (len(options),):
            if name in fixed and fixed[name] == off:
                continue
            return {}
        at = strongest(weights[name], leave_out=(options.index(off),))[0]
        if options[at] != off:
            behind.append((float(weights[name][options.index(off)] - weights[name][at]), name, options[at]))
    return {name: option for _, name, option in sorted(behind, key=lambda one: one[0])[:1]}
