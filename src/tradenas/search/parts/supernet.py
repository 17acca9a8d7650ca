"""The state of a search over shared weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tradenas.cost import PriceList
from tradenas.nn import Mixture, Network
from tradenas.search.base import Candidate, State
from tradenas.space import Architecture, Option, SearchSpace

__all__ = ["SupernetState", "candidates_from", "candidates_to", "moments_of", "set_moments", "under"]


def candidates_to(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """As JSON, in order."""
    return [
        {"architecture": dict(c.architecture), "scores": c.scores}
        | ({"each": list(c.each)} if c.each else {})
        | ({"front": c.front} if c.front is not None else {})
        | ({"instead_of": dict(c.instead_of)} if c.instead_of is not None else {})
        for c in candidates
    ]


def candidates_from(plain: list[dict[str, Any]]) -> list[Candidate]:
    """The inverse of `candidates_to`."""
    return [
        Candidate(
            Architecture.from_plain(c["architecture"]),
            dict(c["scores"]),
            tuple(dict(s) for s in c.get("each", ())),
            c.get("front"),
            Architecture.from_plain(c["instead_of"]) if "instead_of" in c else None,
        )
        for c in plain
    ]


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin so, without the prefix."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def moments_of(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """What an optimiser remembers of each parameter, by name."""
    state = optimizer.state_dict()["state"]
    return {f"{prefix}{i}/{name}": torch.as_tensor(v) for i, moments in state.items() for name, v in moments.items()}


def set_moments(optimizer: torch.optim.Optimizer, moments: dict[str, Tensor], groups: list[dict[str, Any]]) -> None:
    """The inverse of `moments_of` (its names without the prefix), with the `param_groups` of that time, from JSON."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        index, name = key.split("/")
        state.setdefault(int(index), {})[name] = value
    groups = [{**g, "betas": tuple(g["betas"])} if "betas" in g else g for g in groups]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


class SupernetState(State):
    """Shared weights of one supernet or several, their optimisers, and everything scored so far in order.

    Attributes:
        space: what is still searched; a method may shrink it.
        networks: the supernets.
        scored: candidates in the order in which they were scored.
        updates: for each choice, how often each option took part in a pass of training, over all supernets.
        teacher: a frozen network over a part of the space that passes learn from, if the method has one.
    """

    def __init__(self, space: SearchSpace, networks: Sequence[Network], optimizers: Sequence[torch.optim.Optimizer]):
        self.whole, self.space = space, space
        self.networks, self.optimizers = list(networks), list(optimizers)
        self.scored: list[Candidate] = []
        self.updates: dict[str, list[int]] = {c.name: [0] * len(c.options) for c in space.choices}
        self.teacher: Network | None = None
        self.prices: PriceList | None = None  # made when first asked for (`OneShot.prices`)

    @property
    def network(self) -> Network:
        """The first supernet."""
        return self.networks[0]

    def shrink(self, options: dict[str, list[Option]]) -> None:
        """Searches only these options of these choices from now on; the weights stay as they are."""
        self.space = self.space.restrict(options)

    def count(self, mixture: Mixture) -> None:
        """Notes a pass of training; options under weights count where their weight is not 0."""
        for name, which in mixture.items():
            taken = which if isinstance(which, tuple) else (which,) if isinstance(which, int) else which.nonzero()
            for option in taken:
                self.updates[name][int(option)] += 1

    def tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for i, (network, optimizer) in enumerate(zip(self.networks, self.optimizers, strict=True)):
            found |= {f"weight/{i}/{name}": tensor for name, tensor in network.state_dict().items()}
            found |= moments_of(optimizer, f"optimizer/{i}/")
        if self.teacher is not None:
            found |= {f"teacher/{name}": tensor for name, tensor in self.teacher.state_dict().items()}
        return found

    def meta(self) -> dict[str, Any]:
        return {
            "param_groups": [o.state_dict()["param_groups"] for o in self.optimizers],
            "scored": candidates_to(self.scored),
            "updates": self.updates,
            "kept": {c.name: list(c.options) for c in self.space.choices},
            "teacher": None if self.teacher is None else {c.name: list(c.options) for c in self.teacher.space.choices},
        }

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        for i, (network, optimizer) in enumerate(zip(self.networks, self.optimizers, strict=True)):
            network.load_state_dict(under(tensors, f"weight/{i}/"))
            set_moments(optimizer, under(tensors, f"optimizer/{i}/"), meta["param_groups"][i])
        self.scored = candidates_from(meta["scored"])
        self.updates = {name: list(counts) for name, counts in meta["updates"].items()}
        self.space = self.whole.restrict(meta["kept"])
        self.teacher = None
        if meta["teacher"] is not None:
            self.teacher = self.network.inherit(self.whole.restrict(meta["teacher"]))
            self.teacher.load_state_dict(under(tensors, "teacher/"))
            self.teacher.to(self.network.inputs.taps.device)
