"""Trains every architecture of the space alone, on every market, with every seed, and writes table.parquet.

    TRADENAS_CANDLES=folder python benchmarks/truth/build.py --out runs/truth
    python benchmarks/truth/build.py --out runs/truth --worker 0/2     # one of two processes
    python benchmarks/truth/build.py --space cell --out runs/cells     # the table of cells

One shard per architecture, written whole or not at all: kill it anywhere and start it again.  Architectures go in a
shuffled order, so that what is there at any time is a fair sample.  The process that finds all shards there joins
them.  docs/benchmark.md says what the columns are and what the table is worth.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tradenas.atomic import canonical_json, read_json, write_bytes, write_json
from tradenas.errors import DivergedError
from tradenas.seeds import rng_for
from tradenas.space import Architecture
from tradenas.train.evaluate import METRICS
from tradenas.train.stacked import Job, fit_stacked
from truth.setting import BLUEPRINTS, INDICATORS, RECIPE, SEEDS, STRENGTH, WORLDS, World, space, template, world

COLUMNS = (
    *(f"{zone}_{metric}" for zone in ("valid", "test") for metric in METRICS),
    "train_loss", "epochs", "best_epoch", "seconds",
)  # fmt: skip


def ordered(kind: str = "chain") -> list[Architecture]:
    """All architectures in the order in which they are trained."""
    listed = list(space(kind))
    return [listed[i] for i in rng_for(0, "truth", "order").permutation(len(listed))]


def measure(architecture: Architecture, worlds: list[World], kind: str = "chain") -> list[dict[str, float | str]]:
    """One row for each market and seed."""
    jobs = [Job(data=w.data, train=w.fold.train, seed=seed) for w in worlds for seed in SEEDS]
    began = time.perf_counter()
    fitted = fit_stacked(template(kind), architecture, jobs, training=RECIPE)
    seconds = (time.perf_counter() - began) / len(jobs)
    rows: list[dict[str, float | str]] = []
    for job, one in zip(jobs, fitted, strict=True):
        w = next(w for w in worlds if w.data is job.data)
        row: dict[str, float | str] = {"world": w.name, "seed": job.seed, "seconds": seconds}
        if not isinstance(one, DivergedError):
            for zone, evaluator in w.evaluators.items():
                row |= {f"{zone}_{name}": value for name, value in evaluator.score_fitted(one, architecture).items()}
            kept = one.history[one.best_epoch]
            row |= {"train_loss": kept["loss"], "epochs": len(one.history), "best_epoch": one.best_epoch}
        rows.append(row)
    return rows


def digest(w: World) -> str:
    """SHA-256 of what a model may look at."""
    found = hashlib.sha256()
    for part in (w.data.x_TF, w.data.y_T, w.data.bar_return_T, w.data.volatility_T):
        found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()


def moments(w: World) -> list[float]:
    """Means and spreads of every column and of the labels: the same data on another machine, up to rounding."""
    columns_TF = np.column_stack([w.data.x_TF, w.data.y_T / w.data.volatility_T])[w.fold.train.start : w.test.stop]
    return [float(v) for v in np.concatenate([np.nanmean(columns_TF, axis=0), np.nanstd(columns_TF, axis=0)])]


def about(worlds: list[World], kind: str = "chain") -> dict[str, Any]:
    """What the table was made with."""
    root = Path(__file__).resolve().parents[2]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False).stdout
    return {
        "tradenas": version("tradenas"),
        "commit": commit.strip(),
        "torch": str(torch.__version__),
        "space": vars(BLUEPRINTS[kind]),
        "recipe": vars(RECIPE),
        "indicators": INDICATORS,
        "strength": STRENGTH,
        "worlds": {
            w.name: {
                "data": digest(w),
                "moments": moments(w),
                "train": [w.fold.train.start, w.fold.train.stop],
                "valid": [w.fold.valid.start, w.fold.valid.stop],
                "test": [w.test.start, w.test.stop],
            }
            for w in worlds
        },
    }


def join(folder: Path, architectures: list[Architecture], made_with: dict[str, Any]) -> None:
    """All shards as one table, sorted by market, architecture and seed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for architecture in architectures:
        count = template(made_with["space"]["kind"]).count(architecture)
        price = {"parameters": count.parameters, "macs": count.macs}
        text = architecture.to_json()
        known = {"architecture": text, "digest": architecture.digest, **price}
        rows += [{**known, **row} for row in read_json(folder / "shards" / f"{architecture.digest}.json")]
    rows.sort(key=lambda r: (r["world"], r["digest"], r["seed"]))
    table = {
        "world": pa.array([r["world"] for r in rows]).dictionary_encode(),
        "digest": pa.array([r["digest"] for r in rows]).dictionary_encode(),
        "architecture": pa.array([r["architecture"] for r in rows]).dictionary_encode(),
        "seed": pa.array([r["seed"] for r in rows], pa.int8()),
        "parameters": pa.array([r["parameters"] for r in rows], pa.int32()),
        "macs": pa.array([r["macs"] for r in rows], pa.int32()),
    }
    for name in COLUMNS:
        kind = pa.int8() if name in ("epochs", "best_epoch") else pa.float32()
        table[name] = pa.array([rounded(r.get(name)) for r in rows], kind)
    scores = [name for name, column in table.items() if column.type == pa.float32()]
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table(table).replace_schema_metadata({b"tradenas.truth": canonical_json(made_with).encode()}),
        sink,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in table if name not in scores],
        use_byte_stream_split=scores,
    )
    write_bytes(folder / "table.parquet", sink.getvalue().to_pybytes())


def rounded(value: float | None, bits: int = 13) -> float | None:
    """A score to 13 binary digits: far finer than the noise between seeds, and a third of the file."""
    if value is None or value == 0.0 or not np.isfinite(value):
        return value
    mantissa, exponent = np.frexp(value)
    return float(np.ldexp(np.round(mantissa * 2**bits) / 2**bits, exponent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/truth"))
    parser.add_argument("--space", choices=tuple(BLUEPRINTS), default="chain")
    parser.add_argument("--worker", default="0/1", help="i/n: the i-th of n processes")
    parser.add_argument(
        "--limit", type=int, default=0, help="stop after so many architectures: to see how long it takes"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    number, workers = map(int, options.worker.split("/"))
    worlds = [world(name) for name in WORLDS[options.space]]
    made_with, stamp = about(worlds, options.space), options.out / "about.json"
    (options.out / "shards").mkdir(parents=True, exist_ok=True)
    if stamp.exists():
        before = read_json(stamp)
        same = ("space", "recipe", "indicators", "strength", "worlds")
        if any(canonical_json(before[key]) != canonical_json(made_with[key]) for key in same):
            raise SystemExit(f"{stamp} was made with other settings or data; use another folder")
        made_with = before
    elif number == 0:
        write_json(stamp, json.loads(canonical_json(made_with)))
    architectures = ordered(options.space)
    mine = architectures[number::workers][: options.limit or None]
    began, done = time.perf_counter(), 0
    for architecture in mine:
        shard = options.out / "shards" / f"{architecture.digest}.json"
        if shard.exists():
            continue
        write_json(shard, measure(architecture, worlds, options.space))
        done += 1
        if done % 20 == 0:
            each = (time.perf_counter() - began) / done
            print(f"{done} done, {each:.2f} s each, {each * len(mine) / 60:.0f} min for all", flush=True)
    if all((options.out / "shards" / f"{a.digest}.json").exists() for a in architectures):
        join(options.out, architectures, made_with)
        print(f"{options.out / 'table.parquet'}")


if __name__ == "__main__":
    main()
