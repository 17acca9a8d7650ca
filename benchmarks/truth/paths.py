"""Scores of all 1,248 paths through shared weights, each prefix computed once: four times as fast as one by one.

What a layer makes of its input does not depend on what comes after it, so 8 inputs and 96 first layers serve all
paths.  Equal to `Evaluator.score_paths` (tests/train/test_truth_table.py) in what it gives: ic, rank_ic and loss.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from tradenas.nn import EVAL, Network, hard
from tradenas.space import Architecture
from tradenas.train.metrics import correlation, ranks
from truth.setting import World

__all__ = ["outputs_of_paths", "scores_of_paths"]

Scores = dict[str, npt.NDArray[np.float64]]


def outputs_of_paths(
    network: Network, architectures: tuple[Architecture, ...], world: World
) -> npt.NDArray[np.float32]:
    """What each path says of the validation rows, shape (N, V)."""
    rows = world.fold.valid
    back = rows.start - network.reach() + 1
    x_BTF = torch.from_numpy(np.ascontiguousarray(world.data.x_TF[back : rows.stop], np.float32))[None]
    known: dict[tuple[object, ...], torch.Tensor] = {}
    output_NV = np.empty((len(architectures), len(rows)), np.float32)
    with torch.inference_mode():
        for n, architecture in enumerate(architectures):
            mixture = hard(network.space, architecture)
            key: tuple[object, ...] = (architecture["input/lookback"], architecture["input/transform"])
            if key not in known:
                known[key] = network.inputs(x_BTF, mixture)
            x_BTC = known[key]
            line_BT = x_BTC[..., network.inputs.features :].sum(-1)
            depth = int(str(architecture["depth"]))
            for i in range(depth):
                key = (*key, *(architecture.get(f"layer{i}/{what}") for what in ("op", "width")))
                if i + 1 == depth and depth > 1:
                    x_BTC = network.layer(i)(x_BTC, mixture, EVAL)
                    continue
                if key not in known:
                    known[key] = network.layer(i)(x_BTC, mixture, EVAL)
                x_BTC = known[key]
            signal_BT = line_BT + network.heads[str(depth)](x_BTC, 1).squeeze(-1)
            output_NV[n] = signal_BT[0, -len(rows) :].numpy()
    return output_NV


def scores_of_paths(network: Network, architectures: tuple[Architecture, ...], world: World) -> Scores:
    """ic, rank_ic and loss of every path on the validation rows, shape (N,) each; the loss as it is, less is better."""
    return scores_of_outputs(outputs_of_paths(network, architectures, world), world)


def scores_of_outputs(output_NV: npt.NDArray[np.float32], world: World) -> Scores:
    """The same of what paths, or the mean of several supernets' paths, said."""
    rows, objective = world.fold.valid, world.evaluators["valid"].objective
    usable_V = world.data.usable(100)[rows.slice]
    return_U = world.data.bar_return_T[rows.slice][usable_V]
    signal_NU = objective.signal(output_NV.astype(np.float64), world.data, rows)[:, usable_V]
    labels_V = objective.labels(world.data)[rows.slice]
    learnable_V = usable_V & np.isfinite(labels_V)
    error_NL = output_NV[:, learnable_V] - labels_V[learnable_V]
    return {
        "ic": correlation(signal_NU, return_U),
        "rank_ic": correlation(ranks(signal_NU), ranks(return_U[None])[0]),
        "loss": (error_NL**2).mean(axis=1),
    }
