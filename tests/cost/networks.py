"""Small networks whose spaces can be listed."""

from __future__ import annotations

import torch

from tradenas.nn import Layout, Network
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Cell, Chain, SearchSpace

NAMES, GROUPS = ("a", "b", "c"), ("g", "h", "h")


def chain(**settings: object) -> Network:
    settings = {
        "depths": (1, 2), "widths": (2, 5), "lookbacks": (2, 4), "ops": ("skip", "dense", "conv3"),
        "activations": ("relu",), "norms": ("none", "layer"), "dropouts": (0.0,), **settings,
    }  # fmt: skip
    blueprint = Chain(**settings)  # type: ignore[arg-type]
    space = blueprint.space(dict(zip(NAMES, GROUPS, strict=True)))
    return Network(space, Layout(groups=GROUPS, names=NAMES, transforms=blueprint.blocks))


def cell(**settings: object) -> Network:
    settings = {
        "cells": (1, 2), "nodes": 2, "ops": ("zero", "dense"), "widths": (2, 3), "norms": ("none", "layer"), **settings,
    }  # fmt: skip
    space = Cell(**settings).space()  # type: ignore[arg-type]
    return Network(space, Layout(groups=GROUPS, transforms=("zscore",)))


def mixed(space: SearchSpace, seed: int) -> dict[str, torch.Tensor]:
    """Random weights for every choice."""
    rng = rng_for(seed, "mixture")
    return {c.name: torch.from_numpy(rng.dirichlet([1.0] * len(c.options))) for c in space.choices}


def chance(space: SearchSpace, architecture: Architecture, mixture: dict[str, torch.Tensor]) -> float:
    """Of drawing an architecture choice by choice, before those that the space excludes are left out."""
    total = 1.0
    for name, picked in architecture.items():
        choice, weights = space[name], mixture[name]
        odds = {
            v: float(torch.stack([weights[choice.index(o)] for o in (v if isinstance(v, tuple) else (v,))]).prod())
            for v in choice.values()
        }
        total *= odds[picked] / sum(odds.values())
    return total
