"""The files of a fake run folder other than its strategies: data, search, coupling, ledger, verdict."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from tradenas.splits.vault import Look
from tradenas.trials.ledger import Ledger

DAY = 86_400_000
START = 1_609_459_200_000  # 2021-01-01
OPS = ("conv3", "separable5", "lstm", "residual", "gated", "skip", "dilated3", "dense", "gru")
GROUPS = ("momentum", "volatility", "volume", "calendar")


def architecture(rng: np.random.Generator, depth: int) -> dict:
    mapping: dict = {"input/lookback": int(rng.choice([10, 20, 50, 100])), "input/transform": "zscore"}
    mapping |= {f"input/group/{g}": str(rng.choice(["on", "on", "off"])) for g in GROUPS}
    mapping["depth"] = depth
    for i in range(depth):
        op = str(rng.choice(OPS))
        mapping |= {f"layer{i}/op": op, f"layer{i}/width": int(rng.choice([16, 32, 64]))}
        if op not in ("skip", "gated", "lstm", "gru"):
            mapping[f"layer{i}/activation"] = str(rng.choice(["gelu", "relu", "tanh", "leaky_relu"]))
        if op != "skip":
            mapping |= {f"layer{i}/norm": "layer", f"layer{i}/dropout": float(rng.choice([0.0, 0.1, 0.2]))}
    return mapping


def sharpe(net: np.ndarray, days_per_year: int = 365) -> float:
    sd = float(net.std(ddof=1))
    return float(net.mean()) / sd * math.sqrt(days_per_year) if sd > 0 else 0.0


WHY = {
    "EDGE": [
        "Hansen's SPA against hold gives p = 0.012, below 0.05.",
        "StepM names finalist-1 as superior.",
        "The deflated Sharpe is 0.91 over 212 trials.",
    ],
    "NO EVIDENCE": [
        "Hansen's SPA against hold gives p = 0.210, not below 0.05.",
        "The net Sharpe is above the best baseline's, but so would the best of 212 random tries be one time in five.",
    ],
    "NO EDGE": [
        "The champion's net Sharpe is below that of the best baseline, hold.",
        "Costs take more than its gross profit: break-even is at 1.4 bps, the study pays 6.5.",
        "Hansen's SPA against hold gives p = 0.871.",
    ],
}
CHANGE = {
    "EDGE": [
        "A taker fee above 11 bps would take the profit away.",
        "A second look at this vault would no longer count.",
    ],
    "NO EVIDENCE": ["At this Sharpe, 1,460 days would be needed; the vault has 365."],
    "NO EDGE": ["A maker fee of 1 bp or less.", "A longer horizon, so that fewer trades pay costs."],
}


def write_data(folder: Path, symbol: str, notes: str | None, select_from: int, vault_from: int, days: int) -> None:
    end = vault_from + days * DAY
    spans = {
        "search": (START, select_from - 3 * DAY),
        "selection": (select_from, vault_from - 3 * DAY),
        "vault": (vault_from, end),
    }
    zones = {
        name: {"start": (a - START) // 3_600_000, "stop": (b - START) // 3_600_000, "from_ms": a, "to_ms": b}
        for name, (a, b) in spans.items()
    }
    put(
        folder / "data.json",
        {
            "symbol": symbol,
            "source": "bybit linear btc.parquet",
            "interval_ms": 3_600_000,
            "rows": (end - START) // 3_600_000 - 14,
            "first_open": START,
            "last_close": end,
            "calendar": "24/7",
            "days_per_year": 365,
            "coverage": 0.99957,
            "missing": 14,
            "longest_gap_ms": 5 * 3_600_000,
            "zero_volume": 3,
            "gap_variance_share": 0.0021,
            "repairs": {"dropped_unclosed": 1, "sorted": 0},
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "notes": notes,
            "features": [
                "return_1",
                "return_5",
                "return_10",
                "sma_ratio_20",
                "sma_ratio_50",
                "volatility_20",
                "volume_ratio_20",
                "rsi_14",
                "macd",
                "bollinger_20",
                "atr_14",
            ],
            "transforms": ["zscore", "rank"],
            "target": {"kind": "forward_return", "horizon": 4, "delay": 1},
            "zones": {**zones, "purge": 5, "embargo": 72},
        },
    )


def write_search(folder: Path, rng: np.random.Generator, champion: dict) -> None:
    values = np.sort(rng.normal(0.4, 0.5, 60))[::-1]
    candidates = [
        {
            "rank": i + 1,
            "digest": champion["digest"] if i == 0 else f"{rng.integers(0, 2**60):015x}",
            "architecture": champion["architecture"] if i == 0 else architecture(rng, int(rng.integers(1, 5))),
            "scores": {
                "sharpe": float(v),
                "accuracy": 0.5 + 0.01 * float(v),
                "profit_factor": 1 + 0.1 * float(v),
                "ic": 0.01 * float(v),
                "loss": 0.69,
                "turnover": 2.0,
            },
        }
        for i, v in enumerate(values)
    ]
    best = np.maximum.accumulate(rng.permutation(np.concatenate([values, rng.normal(0, 0.4, 140)])))
    trace = [{"scored": i + 1, "best": float(b)} for i, b in enumerate(best)]
    put(
        folder / "search" / "candidates.json",
        {
            "method": "spos",
            "metric": "sharpe",
            "space_size": 48_211_200_000,
            "num_scored": 200,
            "num_params_max": 214_337,
            "seconds": 318.2,
            "candidates": candidates,
            "trace": trace,
        },
    )


def write_coupling(folder: Path, rng: np.random.Generator, digest: str, num: int, *, supernets: int = 3) -> None:
    quality = rng.normal(0, 1, num)
    points = [
        {
            "digest": digest if i == 0 else f"{rng.integers(0, 2**60):015x}",
            "supernet": float(q + rng.normal(0, 0.8)),
            "standalone": float(np.mean(s)),
            "seeds": [float(v) for v in s],
            **({"rank_low": 2.0 * i + 1, "rank_high": 2.0 * i + 7.5} if supernets else {}),
        }
        for i, (q, s) in enumerate((q, q + rng.normal(0, 0.5, 2)) for q in quality)
    ]
    a, b = (np.array([p[k] for p in points]) for k in ("supernet", "standalone"))
    tau = float((np.sign(a[:, None] - a) * np.sign(b[:, None] - b)).sum() / max(1, num * (num - 1)))

    def around(value: float, half: float = 0.1) -> dict:
        return {"tau": value, "tau_low": value - half, "tau_high": value + half}

    put(
        folder / "coupling.json",
        {
            "metric": "sharpe",
            "num": num,
            **around(tau),
            "spearman": 1.4 * tau,
            "top5_overlap": 0.4,
            "regret": 0.21,
            "spread": 2.4,
            "top_quarter": {**around(0.18, 0.3), "num": num // 4},
            "ceiling": {"tau": 0.7, "tau_low": 0.63, "tau_high": 0.76},
            "of_ceiling": {**around(tau / 0.7, 0.2), "num": num},
            "supernets": [
                {**around(tau - 0.05 * i), "spearman": 1.3 * tau, "regret": 0.3 + 0.1 * i} for i in range(supernets)
            ],
            "chances": [
                {"k": k, "num": 200, "value": (k / 200) ** 0.32, "low": (k / 200) ** 0.58, "high": (k / 200) ** 0.16}
                for k in (1, 2, 3, 5, 10, 20, 50, 100, 200)
            ],
            "proxies": {"synflow": around(tau - 0.2), "params": around(tau + 0.02)},
            "causes": causes(),
            "points": points,
        },
    )


def estimate(value: float, half: float) -> dict:
    return {"value": value, "low": value - half, "high": value + half}


def causes() -> dict:
    """One found, one not, one open."""

    def conflict(kind: str, agreement: float | None, negative: float) -> dict:
        return {
            "kind": kind,
            "pairs": 120,
            "same_rows": estimate(0.6, 0.1),
            "other_rows": estimate(0.1, 0.08),
            "floor": estimate(0.4, 0.1),
            "negative": negative,
            "negative_floor": 0.12,
            "excess": estimate(negative - 0.12, 0.06),
            "agreement": None if agreement is None else estimate(agreement, 0.2),
        }

    def repair(gain: float, new: float | None) -> dict:
        return {
            "new": None if new is None else estimate(new, 0.05),
            "same_order": estimate(0.8, 0.1),
            "gain": estimate(gain, 0.17),
        }

    return {
        "epochs": 2,
        "updates": {"rarest": "layer3/op = separable3", "fewest": 14.0, "median": 61.5, "steps": 800, "stuck": 5,
                    "parts": 32},
        "longer": repair(0.02, 0.01),
        "private": repair(0.24, 0.12),
        "refitted": repair(0.06, None),
        "gradients": {
            "paths": 16,
            "kinds": [
                conflict("input filters", 0.85, 0.1), conflict("layers", 0.1, 0.45), conflict("heads", None, 0.3),
            ],
            "parts": [],
        },
        "undertraining": {"state": "not found", "advice": "More epochs would add little: 2 more did not; the rarest "
                          "part, layer3/op = separable3, had 14 updates in 800 steps."},
        "interference": {"state": "found", "advice": "Paths pull layers apart (most at layer0/op = gated): offer fewer "
                         "ops a layer, put more supernets together (search.supernets), or train each step on several "
                         "paths."},
        "coadaptation": {"state": "open", "advice": "Heads of their own reorder the paths, for better or worse is not "
                         "to be told from so few architectures: raise trials.coupling."},
    }  # fmt: skip


def write_ledger(folder: Path) -> None:
    with Ledger(folder / "ledger.db") as ledger, ledger.batch():
        for i in range(200):
            ledger.record("search", f"arch-{i}", digest=f"{i:04x}", scores={"sharpe": i / 200})
        for i in range(12):
            ledger.record("retrain", f"strategy-{i}", seed=0, scores={"sharpe": 0.1 * i})
        ledger.stamp(Look(number=1, time_ms=START, reason="verdict", subject="study", start=0, stop=10))


def write_verdict(folder, verdict, strategies, pnl, costs, watermark, days) -> None:
    champion = strategies[0]
    baselines = [s for s in strategies if s["kind"] == "baseline"]
    best = max(baselines, key=lambda s: s["vault"]["sharpe"])
    vault, base = champion["vault"], best["vault"]
    taker, slippage = costs
    turnover, paid = vault["turnover_per_day"], (taker + slippage) * 1e-4
    net = pnl["finalist-1", "vault"]
    sweep = [
        {
            "bps": b,
            "sharpe": sharpe(net + turnover * (paid - b * 1e-4)),
            "total_net": float((net + turnover * (paid - b * 1e-4)).sum()),
        }
        for b in (0, 0.5, 1, 2, 3, 4, 5, 6.5, 8, 10, 12)
    ]
    p = {"EDGE": 0.012, "NO EVIDENCE": 0.21, "NO EDGE": 0.871}[verdict]
    put(
        folder / "verdict.json",
        {
            "verdict": verdict,
            "why": [words.replace("hold", best["name"]) for words in WHY[verdict]],
            "would_change": CHANGE[verdict],
            "champion": {"name": champion["name"], "digest": champion["digest"]},
            "best_baseline": best["name"],
            "trials": {"total": 212, "by_stage": {"search": 200, "finalists": 5, "random": 5, "baselines": 2}},
            "effective_trials": 61.4,
            "zone": "vault",
            "spa": {
                "p_lower": max(0.0, p - 0.004),
                "p_consistent": p,
                "p_upper": min(1.0, p + 0.02),
                "benchmark": best["name"],
                "against": {b["name"]: p for b in baselines if b["name"] in (best["name"], "flat", "hold")},
            },
            "stepm": {"superior": [champion["name"]] if verdict == "EDGE" else []},
            "confidence_set": {
                "held": [champion["name"], "hold", "flat"],
                "of": 9,
                "alpha": 0.1,
                "p": {champion["name"]: 1.0},
            },
            "psr": 0.993 if verdict == "EDGE" else 0.31,
            "dsr": 0.91 if verdict == "EDGE" else 0.04,
            "pbo": 0.08 if verdict == "EDGE" else 0.57,
            "min_track_record_days": 146.0 if verdict == "EDGE" else None,
            "days": days,
            "net_sharpe": {"value": vault["sharpe"], "low": vault["sharpe_low"], "high": vault["sharpe_high"]},
            "gross_sharpe": vault["gross_sharpe"],
            "baseline_sharpe": {"value": base["sharpe"], "low": base["sharpe_low"], "high": base["sharpe_high"]},
            "cost_sweep": sweep,
            "break_even_bps": vault["total_gross"] / (turnover * days) * 1e4,
            "costs": {"taker_bps": taker, "slippage_bps": slippage},
            "band": 0.1,
            "watermark": watermark,
        },
    )


def put(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, allow_nan=False, indent=1))
