"""Puts a budget into a fake run folder: limits, a front, latencies that were timed, and a circuit that was exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

COSTS = ("macs", "parameters", "weight_bytes", "peak_bytes", "state_bytes", "latency_us")


def costs_of(size: float) -> dict[str, float]:
    return dict(zip(COSTS, (size, size, 4 * size, 300 + size, 640.0, 2.0 + size / 2000), strict=True))


def with_budget(folder: Path, *, words: str = "lookback 20 | conv3 16", **changes: Any) -> Path:
    """The folder, with a budget; `words` describe every architecture."""
    rng = np.random.default_rng(5)
    search = folder / "search"
    found = json.loads((search / "candidates.json").read_text())
    sizes = np.exp(rng.uniform(5.0, 9.5, len(found["candidates"])))
    points = []
    for i, (one, size) in enumerate(zip(found["candidates"], sizes, strict=True)):
        one["costs"] = costs_of(float(size))
        points.append({
            "digest": one["digest"], "words": words, "front": int(i > 6), "chosen": i == 0,
            "quality": one["scores"][found["metric"]], "costs": one["costs"],
        })  # fmt: skip
    found["candidates"][1]["instead_of"] = {"depth": 3}
    (search / "candidates.json").write_text(json.dumps(found))
    cheapest = {"digest": "0123456789ab", "words": words}
    spread = {
        name: {
            "limit": {"parameters": 6000.0, "latency_us": 5.0}.get(name), "smallest": low, "median": 12 * low,
            "largest": 90 * low, "fits": 0.4, "proved": True, "cheapest": cheapest,
        }
        for name, low in costs_of(150.0).items()
    }  # fmt: skip
    budget = {
        "device": {"name": "cpu-1core", "kind": "cpu", "words": f"One core. {words}"}, "precision": "float32",
        "mode": "stream", "rule": "reject", "not_held": {"luts": 5000.0}, "full_size": False,
        "exponents": [{"cost": "latency_us", "target": 5.0, "below": -0.07, "above": -0.07}],
        "size": 48_211_200_000, "looked_at": 1000, "share": 0.37, "low": 0.34, "high": 0.4, "costs": spread,
    } | changes  # fmt: skip
    (search / "budget.json").write_text(json.dumps(budget))
    front = {
        "objectives": ["merit", "latency_us", "parameters"], "metric": found["metric"], "rule": "the best quality",
        "hypervolume": 0.63, "points": points,
    }  # fmt: skip
    (search / "front.json").write_text(json.dumps(front))
    path = folder / "retrain" / "strategies.json"
    record = json.loads(path.read_text())
    for row in record["strategies"]:
        if row["architecture"] is not None:
            row["costs"] = costs_of(2000.0)
    path.write_text(json.dumps(record))
    timed = [
        {"name": s["name"], "digest": s["digest"], "predicted_us": p, "measured_us": p * float(rng.normal(1.0, 0.03))}
        for s, p in zip(record["strategies"], np.linspace(2.5, 4.5, 5).tolist(), strict=False)
    ]
    latency = {
        "points": timed, "backend": "onnxruntime", "mode": "window", "cpu": "a CPU", "floor": 0.02, "load": 0.1,
        "threads": 1, "limit_us": 5.0,
    }  # fmt: skip
    (folder / "retrain" / "latency.json").write_text(json.dumps(latency))
    export = folder / "export" / "champion" / "verilog"
    export.mkdir(parents=True)
    circuit = {
        "mode": "streaming", "cycles": 10, "reach": 31,
        "estimated": {"luts": 3734, "by": "da4ml"},
        "synthesised": {"luts": 3133, "dsp": 0, "by": "yosys"},
        "synthesised_ice40": {"luts": 4700, "by": "yosys"},
        "placed_and_routed": {"megahertz": 50.76, "nanoseconds": 197.0, "by": "nextpnr-ice40"},
    }  # fmt: skip
    (export / "resources.json").write_text(json.dumps(circuit))
    return folder
