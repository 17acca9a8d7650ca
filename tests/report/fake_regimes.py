"""Puts regimes into a fake run folder: a router, specialists, and what was recorded of them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tradenas.features import REGIMES

SCORES = {"sharpe": 0.8, "ic": 0.012, "total_net": 0.05}


def with_regimes(folder: Path, *, champion: bool = False, call: str = "not shown", words: str = "Words.") -> Path:
    """The folder, with regimes; `champion` makes the router the champion."""
    path = folder / "retrain" / "strategies.json"
    record = json.loads(path.read_text())
    rows = record["strategies"]
    single = rows[0]
    table = pq.read_table(folder / "retrain" / "daily.parquet").to_pylist()
    for name in REGIMES:
        new = f"{name.replace('_', '-')} 1"
        rows.append({**single, "name": new, "kind": "specialist", "regime": name, "supernet_score": 0.021})
        table += [{**row, "name": new} for row in table if row["name"] == single["name"]]
    parts = {name: f"{name.replace('_', '-')} 1" for name in REGIMES} | {"unknown": single["name"]}
    rows.append({**single, "name": "routed", "kind": "routed", "digest": None, "architecture": None, "settings": parts})
    table += [{**row, "name": "routed"} for row in table if row["name"] == single["name"]]
    pq.write_table(pa.Table.from_pylist(table), folder / "retrain" / "daily.parquet")
    found = {
        "value": 0.4, "low": -0.2, "high": 1.1, "first": 1.4, "second": 1.0, "days": 365, "single": single["name"],
        "call": call, "total_first": 0.2, "total_second": 0.15,
    }  # fmt: skip
    shares = {"trending": 0.3, "mean_reverting": 0.25, "volatile": 0.2, "calm": 0.15, "unknown": 0.1}
    scores = {row["name"]: dict.fromkeys(REGIMES, SCORES) for row in rows if row["kind"] in ("finalist", "routed")}
    scores |= {f"{name.replace('_', '-')} 1": {name: SCORES} for name in REGIMES}
    scores["hold"] = {name: {**SCORES, "ic": None} for name in REGIMES}
    judged = {"shares": shares, "scores": scores, "comparison": found}
    record["regimes"] = {
        "names": list(REGIMES), "metric": "ic", "outside": 0.0, "single": single["name"], "router": parts,
        "trials": {"regimes": 800, "search": 200}, "words": [words],
        "zones": {"train": {"shares": shares}, "rank": {"shares": shares}, "selection": judged, "vault": judged},
    }  # fmt: skip
    path.write_text(json.dumps(record))
    if champion:
        verdict = folder / "verdict.json"
        verdict.write_text(json.dumps({**json.loads(verdict.read_text()), "champion": {"name": "routed"}}))
    return folder
