"""Can the optimiser move what it is to train?  Learning rate times updates, held against where weights start.

    one Adam update moves a weight by at most lr (1 - b1) / sqrt(1 - b2), = lr at betas (0.9, 0.99)   Kingma & Ba 2015,
    n updates of a schedule move it by at most the sum of their learning rates                        sec. 2.1
    an op of a supernet gets `share` of the steps, spread over the whole schedule: share * sum of all
    He start: uniform within gain * sqrt(3 / fan_in), standard deviation s = gain / sqrt(fan_in)
    weights of one output that all move by d together change it by d * fan_in (inputs of size 1), and it starts at
    about s * sqrt(fan_in): below d = s / sqrt(fan_in) not even that could replace what chance put there

A weight that cannot travel s / sqrt(fan_in) stays what its seed made it: the supernet then ranks random features.  The
bound is generous: it needs every update to point the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from tradenas.nn import Network
from tradenas.space import Option, SearchSpace, option_shares
from tradenas.train.loop import Optimisation

__all__ = ["Travel", "check_alphas", "check_travel", "travel", "travels"]

#: Distance between two alphas from which on the one has seven times the weight of the other.
SAYS_SOMETHING = 2.0


def travel(training: Optimisation, steps: int, *, share: float = 1.0) -> float:
    """The farthest that Adam can move a weight which gets `share` of the steps of a whole schedule.

    >>> from tradenas.train.loop import Optimisation
    >>> round(travel(Optimisation(lr=1e-3), 1000), 3), round(travel(Optimisation(lr=1e-3), 1000, share=0.1), 4)
    (0.501, 0.0501)
    """
    return share * sum(training.lr_at(step, steps) for step in range(steps))


@dataclass(frozen=True, kw_only=True)
class Travel:
    """How far a part of a supernet can be moved, and how far it would have to be.

    Attributes:
        part: choice and option, such as `layer3/op = conv5`.
        updates: expected number of its updates.
        reach: farthest that one of its weights can move.
        spread: largest starting value (the He bound) of the weights that have the least way to go.
        needed: distance below which their output stays what chance made it.
    """

    part: str
    updates: float
    reach: float
    spread: float
    needed: float

    @property
    def stuck(self) -> bool:
        """Whether it cannot be trained."""
        return self.reach < self.needed


def travels(
    space: SearchSpace, network: Network, training: Optimisation, steps: int, *, passes: float = 1.0
) -> list[Travel]:
    """Each op and each head, the least movable first.

    Args:
        space: what is sampled, uniformly.
        network: with fresh weights.
        steps: updates of the whole training.
        passes: paths of a step.
    """
    shares, whole = option_shares(space), travel(training, steps)
    found = []
    for name, option, weights in _parts(space, network):
        share = min(1.0, passes * shares[name][option])
        needed, spread = min((_needed(w), float(w.detach().abs().max())) for w in weights)
        part = f"{name} = {option}"
        found.append(Travel(part=part, updates=share * steps, reach=share * whole, spread=spread, needed=needed))
    return sorted(found, key=lambda t: t.reach / t.needed)


def _needed(weight: Tensor) -> float:
    """Standard deviation at the start over the square root of the inputs that one output reads."""
    return float(weight.detach().square().mean().sqrt()) / math.sqrt(weight[0].numel())


def _parts(space: SearchSpace, network: Network) -> Iterator[tuple[str, Option, list[Tensor]]]:
    """Choice, option, and the weights that only this option has."""
    for i in range(len(network.layers)):
        for option in space[f"layer{i}/op"].options:
            if weights := _matrices(network.get_submodule(f"layers.{i}.ops.{option}")):
                yield f"layer{i}/op", option, weights
    for option in network.depth.options:
        yield network.depth.name, option, _matrices(network.heads[str(option)])


def _matrices(part: nn.Module) -> list[Tensor]:
    """Weights that start somewhere: biases and closed taps start at 0 and have nothing to outweigh."""
    return [p for p in part.parameters() if p.ndim > 1 and bool((p != 0).any())]


def check_travel(
    space: SearchSpace, network: Network, training: Optimisation, steps: int, *, passes: float = 1.0
) -> list[str]:
    """Warnings where learning rate times steps cannot move what is to be trained; empty where it can.

    Args:
        space: what is sampled, uniformly.
        network: with fresh weights.
        steps: updates of the whole training of one supernet.
        passes: paths of a step, on the average.

    Returns:
        At most one sentence, about the worst part, that counts the others.
    """
    every = travels(space, network, training, steps, passes=passes)
    stuck = [t for t in every if t.stuck]
    if not stuck:
        return []
    worst = stuck[0]
    return [
        f"learning rate x steps cannot train {len(stuck)} of {len(every)} parts of the supernet, least of all "
        f"{worst.part}: {worst.updates:.0f} expected updates at up to {training.lr:g} move a weight by at most "
        f"{worst.reach:.2g}, where it would take {worst.needed:.2g} to outweigh a random start within "
        f"{worst.spread:.2g}. Raise the learning rate or the epochs {worst.needed / worst.reach:.1f}-fold, or offer "
        "fewer ops or depths"
    ]


def check_alphas(steps: int, *, lr: float, resting: float) -> list[str]:
    """A warning where learning rate times steps cannot move an alpha far enough to prefer an option.

    Args:
        steps: updates of the whole training of one supernet.
        lr: of Adam.
        resting: share of the steps in which alphas do not learn.
    """
    far = (1.0 - resting) * steps * lr
    if far >= SAYS_SOMETHING:
        return []
    return [
        f"learning rate x steps can move an alpha by {far:.2g} at most, where it takes about "
        f"{SAYS_SOMETHING:g} to prefer an option: what the alphas choose will be near to chance. Raise "
        f"search.alphas.lr or the epochs {SAYS_SOMETHING / far:.1f}-fold"
    ]
