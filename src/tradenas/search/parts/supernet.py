"""The state of a search over shared weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tradenas.nn import Network
from tradenas.search.base import Candidate, State
from tradenas.space import Architecture

__all__ = ["SupernetState", "candidates_from", "candidates_to"]


def candidates_to(candidates: list[Candidate]) -> list[dict[str, Any]]:
    """As JSON, in order."""
    return [{"architecture": dict(c.architecture), "scores": c.scores} for c in candidates]


def candidates_from(plain: list[dict[str, Any]]) -> list[Candidate]:
    """The inverse of `candidates_to`."""
    return [Candidate(Architecture.from_plain(c["architecture"]), dict(c["scores"])) for c in plain]


class SupernetState(State):
    """Shared weights, their optimiser, and everything scored so far in order."""

    def __init__(self, network: Network, optimizer: torch.optim.Optimizer) -> None:
        self.network, self.optimizer = network, optimizer
        self.scored: list[Candidate] = []

    def tensors(self) -> dict[str, Tensor]:
        found = {f"weight/{name}": tensor for name, tensor in self.network.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in moments.items()}
        return found

    def meta(self) -> dict[str, Any]:
        groups = self.optimizer.state_dict()["param_groups"]
        return {"param_groups": groups, "scored": candidates_to(self.scored)}

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        weights = {k.removeprefix("weight/"): v for k, v in tensors.items() if k.startswith("weight/")}
        self.network.load_state_dict(weights)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer/"):
                _, index, name = key.split("/")
                moments.setdefault(int(index), {})[name] = value
        groups = [{**g, "betas": tuple(g["betas"])} if "betas" in g else g for g in meta["param_groups"]]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.scored = candidates_from(meta["scored"])
