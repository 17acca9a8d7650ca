"""A plausible, complete run folder: random, but each part agrees with the others."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from report.fake_parts import (
    DAY,
    START,
    architecture,
    put,
    sharpe,
    write_coupling,
    write_data,
    write_ledger,
    write_search,
    write_verdict,
)


def scores(net: np.ndarray, gross: np.ndarray, turnover: np.ndarray, *, model: bool) -> dict:
    years = len(net) / 365
    value, half = sharpe(net), 1.96 * math.sqrt(1 / years)
    total = np.cumsum(net)
    return {
        "sharpe": value,
        "sharpe_low": value - half,
        "sharpe_high": value + half,
        "gross_sharpe": sharpe(gross),
        "profit_factor": float(net[net > 0].sum() / max(1e-9, -net[net < 0].sum())),
        "accuracy": 0.512 if model else None,
        "ic": 0.021 if model else None,
        "turnover_per_day": float(turnover.mean()),
        "max_drawdown": float((np.maximum.accumulate(np.maximum(total, 0)) - total).max()),
        "total_net": float(net.sum()),
        "total_gross": float(gross.sum()),
    }


SKILL = {"EDGE": 2.6, "NO EVIDENCE": 1.1, "NO EDGE": -0.7}


def build(
    folder: Path,
    *,
    verdict: str = "EDGE",
    seed: int = 7,
    symbol: str = "BTCUSDT",
    notes: str | None = None,
    names: dict[str, str] | None = None,
    watermark: str | None = None,
    taker_bps: float = 5.5,
    days: int = 365,
    num_random: int = 5,
    num_points: int = 100,
) -> Path:
    """Writes the folder and returns it; `names` renames strategies."""
    rng = np.random.default_rng(seed)
    rename = names or {}
    for sub in ("search", "retrain"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    select_from, vault_from = START + 900 * DAY, START + 900 * DAY + (days + 3) * DAY
    zones_days = {"selection": select_from, "vault": vault_from}
    slippage = 0.0 if taker_bps == 0 else 1.0
    cost = (taker_bps + slippage) * 1e-4
    market = {z: 0.9 / 365 * 0.5 + 0.5 / math.sqrt(365) * rng.standard_normal(days) * 0.6 for z in zones_days}

    cast = [(f"finalist-{i}", "finalist", SKILL[verdict] - 0.35 * (i - 1), 1.6) for i in range(1, 6)]
    cast += [
        ("flat", "baseline", 0, 0.0),
        ("hold", "baseline", 0, 0.0),
        ("reversal", "baseline", -3.0, 9.0),
        ("momentum", "baseline", -0.3, 1.9),
        ("ridge", "baseline", 0.2, 2.4),
        ("lightgbm", "baseline", 0.35, 3.0),
        ("dlinear", "baseline", 0.1, 2.2),
        ("gru", "baseline", -0.2, 2.0),
    ]
    cast += [(f"random-{i}", "random", SKILL[verdict] * 0.3 - 0.3 * i, 2.0) for i in range(1, num_random + 1)]
    rows: dict[str, list] = {k: [] for k in ("zone", "name", "day", "net", "gross", "turnover")}
    strategies, pnl = [], {}
    for name, kind, skill, trades in cast:
        shown = rename.get(name, name)
        model = kind != "baseline" or name in ("ridge", "lightgbm", "dlinear", "gru")
        by_zone = {}
        for zone, first in zones_days.items():
            turnover = np.abs(rng.normal(trades, 0.3 * trades + 1e-12, days)) if trades else np.zeros(days)
            if name == "flat":
                gross = np.zeros(days)
            elif name == "hold":
                gross = market[zone]
            else:
                sd = 0.011
                lift = skill + (0.5 if zone == "selection" and kind == "finalist" else 0)
                gross = (
                    rng.standard_normal(days) * sd + lift * sd / math.sqrt(365) + turnover * cost + 0.12 * market[zone]
                )
            net = gross - turnover * cost
            pnl[name, zone] = net
            by_zone[zone] = scores(net, gross, turnover, model=model)
            rows["zone"] += [zone] * days
            rows["name"] += [shown] * days
            rows["day"] += [first + i * DAY for i in range(days)]
            for key, values in (("net", net), ("gross", gross), ("turnover", turnover)):
                rows[key] += values.tolist()
        seeds = (
            [
                {
                    "seed": s,
                    "seconds": 12.5,
                    **{
                        z: {
                            "sharpe": by_zone[z]["sharpe"] + float(rng.normal(0, 0.3)),
                            "accuracy": 0.51,
                            "profit_factor": 1.1,
                            "ic": 0.02,
                            "loss": 0.69,
                            "turnover": trades,
                        }
                        for z in zones_days
                    },
                }
                for s in range(3)
            ]
            if model
            else []
        )
        arch = architecture(rng, int(rng.integers(2, 5))) if kind != "baseline" else None
        if name == "finalist-1":
            arch = {
                "input/lookback": 50,
                "input/transform": "zscore",
                "input/group/momentum": "on",
                "input/group/volatility": "on",
                "input/group/volume": "on",
                "input/group/calendar": "off",
                "depth": 4,
                "layer0/op": "conv3",
                "layer0/width": 32,
                "layer0/activation": "gelu",
                "layer0/norm": "layer",
                "layer0/dropout": 0.1,
                "layer1/op": "residual",
                "layer1/width": 64,
                "layer1/activation": "relu",
                "layer1/norm": "layer",
                "layer1/dropout": 0.0,
                "layer2/op": "skip",
                "layer2/width": 64,
                "layer3/op": "gru",
                "layer3/width": 16,
                "layer3/norm": "none",
                "layer3/dropout": 0.2,
            }
        strategies.append(
            {
                "name": shown,
                "kind": kind,
                "digest": f"{rng.integers(0, 2**60):015x}" if arch else None,
                "architecture": arch,
                "params": int(rng.integers(4_000, 60_000)) if arch else None,
                "supernet_score": float(rng.normal(1, 0.3)) if arch else None,
                "tried": 200 if kind == "finalist" else 1 if name in ("flat", "hold") else 20,
                "seeds": seeds,
                **by_zone,
            }
        )
    pq.write_table(pa.table(rows), folder / "retrain" / "daily.parquet")
    words = "5 of 200 retrained: holds the best with 31 % (12-55 %)"
    finalists = {"taken": 5, "of": 200, "asked": 0.0, "chance": 0.31, "low": 0.12, "high": 0.55, "words": words}
    put(folder / "retrain" / "strategies.json", {"strategies": strategies, "finalists": finalists})
    champion = strategies[0]
    put(
        folder / "env.json",
        {
            "tradenas": "0.1.0",
            "python": "3.11.9",
            "torch": "2.13.0",
            "numpy": "2.5.0",
            "platform": "Linux-6.1-x86_64",
            "cpu": "AMD EPYC",
            "threads": 2,
            "command": ["tradenas", "run", "study.toml", "--set", "search.epochs=20"],
        },
    )
    (folder / "study.toml").write_text(
        'seed = 7\n\n[data]\nsource = "btc.parquet"\n\n[search]\nkind = "spos"\nepochs = 20\n'
    )
    write_data(folder, symbol, notes, select_from, vault_from, days)
    write_search(folder, rng, champion)
    write_coupling(folder, rng, champion["digest"], num_points)
    write_ledger(folder)
    write_verdict(folder, verdict, strategies, pnl, (taker_bps, slippage), watermark, days)
    return folder
