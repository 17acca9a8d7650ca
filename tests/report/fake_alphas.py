"""Made-up alphas for a fake run folder: a cell of edges that decide, columns that half decide, and a gap."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from report.fake_parts import put

OPS = ["zero", "skip", "dense", "conv3", "separable3", "dilated3", "ema12", "difference"]
COLUMN_OPS = ["raw", "zscore", "rank", "difference", "drop"]
EPOCHS = 40


def softmax(a: np.ndarray) -> np.ndarray:
    e = np.exp(a - a.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def choice(name: str, options: list, winner: int, strength: float, epochs: int = EPOCHS) -> dict:
    """Weights that go from even to `winner`."""
    a_EO = np.outer(np.linspace(0.0, strength, epochs), np.arange(len(options)) == winner)
    p_EO = softmax(a_EO + 0.05 * np.sin(np.arange(epochs))[:, None] * np.arange(len(options)))
    entropy_E = -(p_EO * np.log(p_EO)).sum(1) / np.log(len(options))
    return {
        "name": name, "options": options, "even": [1.0 / len(options)] * len(options),
        "entropy": entropy_E.round(5).tolist(), "strengths": p_EO.round(5).tolist(),
    }  # fmt: skip


def edges(nodes: int) -> list[tuple[int, int]]:
    return [(i, j) for j in range(2, 2 + nodes) for i in range(j)]


def stage(nodes: int = 5, strength: float = 3.0, columns: int = 12, winner: int | None = None,
          ops: list = OPS, stopped: dict | None = None) -> dict:  # fmt: skip
    """One stage; `winner` is the op that wins everywhere, otherwise each edge has its own."""
    found = [
        choice(f"cell/edge{i}-{j}/op", ops, (i + j) % len(ops) if winner is None else winner, strength)
        for i, j in edges(nodes)
    ]
    skip = ops.index("skip")
    skips = np.mean([[p[skip] for p in c["strengths"]] for c in found], axis=0)
    entropy = np.mean([c["entropy"] for c in found], axis=0)
    found += [choice(f"input/column/a_long_name_{i}", COLUMN_OPS, i % 5, 0.3 * strength) for i in range(columns)]
    found += [choice("input/lookback", [5, 20, 50], 1, 0.5 * strength)]
    epochs = [
        {"loss": 1.0, "alpha_loss": 1.0, "entropy": float(e), "skips": float(s)}
        for e, s in zip(entropy, skips, strict=True)
    ]
    values = [{"epoch": e, "value": 0.004 * 1.1**e} for e in range(0, EPOCHS, 5)]
    return {"choices": found, "epochs": epochs, "eigenvalues": values, "stopped": stopped}


def change(value: float, half: float) -> dict:
    return {"value": value, "low": value - half, "high": value + half}


def architecture(nodes: int = 5, winner: int | None = None, ops: list = OPS) -> dict:
    mapping: dict = {"input/lookback": 20, "cells": 2, "cell/width": 16, "cell/activation": "relu",
                     "cell/norm": "layer", "cell/dropout": 0.0, "cell/output": "all"}  # fmt: skip
    for j in range(2, 2 + nodes):
        taken = [0, j - 1]
        if j > 2:
            mapping[f"cell/node{j}/from"] = taken
        for i in sorted(set(taken)) if j > 2 else [0, 1]:
            mapping[f"cell/edge{i}-{j}/op"] = ops[(i + j) % len(ops) if winner is None else winner]
    return mapping


def supernet(*stages: dict, lost: tuple[float, float] = (-0.03, 0.02), winner: int | None = None) -> dict:
    return {
        "stages": list(stages) or [stage(winner=winner)],
        "architecture": architecture(winner=winner),
        "digest": "00ff00ff00ff00ff",
        "gap": {
            "relaxed": {"rank_ic": 0.06, "loss": 0.98},
            "path": {"rank_ic": 0.06 + lost[0], "loss": 0.995},
            "alone": {"rank_ic": 0.04, "loss": 0.985},
            "discretisation": {"rank_ic": change(*lost), "loss": change(-0.015, 0.01)},
            "retraining": {"rank_ic": change(0.01, 0.02), "loss": change(0.01, 0.01)},
        },
    }


def write_alphas(folder: Path, *nets: dict) -> Path:
    """Puts the record into a run folder."""
    found = {"method": "darts", "metric": "rank_ic", "supernets": list(nets) or [supernet()]}
    put(folder / "search" / "diagnostics.json", found)
    return folder
