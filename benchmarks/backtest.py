"""1,000 candidates x 20,000 bars: signals to positions to daily P&L and scores, then ranked by CSCV; time and memory.

    python benchmarks/backtest.py
    python benchmarks/backtest.py --candidates 4000 --rounds 3

Signals are noise with a common part, in single precision as networks give them; candles are 15-minute bars of a market
that never closes, so that 20,000 rows are 209 days.  Each stage is timed `--rounds` times: the median of the wall time
with its least and most, and the median of the processor's, which a busy machine changes less.  Memory is what the
process holds at its peak beyond the signals.  A loop over candidates, one call each, stands beside it, and its scores
must be the same to the bit.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import numpy as np

from tradenas.seeds import rng_for
from tradenas.stats import pbo
from tradenas.train.backtest import COSTS, Rule, backtest, score, signal_scale

QUARTER_MS = 900_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--bars", type=int, default=20_000)
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    num, rows = given.candidates, given.bars

    rng = rng_for(0, "benchmarks", "backtest")
    bar_return_T = 0.003 * rng.standard_t(4, rows)
    common_T = rng.standard_normal(rows, dtype=np.float32)
    signal_NT = rng.standard_normal((num, rows), dtype=np.float32) + 0.7 * common_T
    usable_T = np.ones(rows, dtype=bool)
    market = {
        "bar_return_T": bar_return_T, "realised_T": np.arange(1, rows + 1, dtype=np.int64) * QUARTER_MS,
        "usable_T": usable_T, "costs": COSTS["bybit_perp_taker"], "days_per_year": 365,
    }  # fmt: skip
    rule, scale_N = Rule(band=1.0), signal_scale(signal_NT[:, : rows // 2], usable_T[: rows // 2])
    before = peak_mib()

    took: dict[str, list[tuple[float, float]]] = {}

    def timed(name, work):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        took.setdefault(name, []).append((time.perf_counter() - wall, time.process_time() - cpu))
        return result

    def daily() -> np.ndarray:
        parts = [
            backtest(rule.positions(signal_NT[i : i + 16], usable_T, scale=scale_N[i : i + 16]), **market).net_DN
            for i in range(0, num, 16)
        ]
        return np.concatenate(parts, axis=1)

    for _ in range(given.rounds):
        scores = timed("score", lambda: score(signal_NT, rule=rule, scale=scale_N, **market))
        daily_DN = timed("positions and daily P&L", daily)
        found = timed("CSCV", lambda daily_DN=daily_DN: pbo(daily_DN, blocks=given.blocks))
    peak = peak_mib()

    some = range(0, num, max(1, num // 50))
    alone = timed("one by one", lambda: [
        score(signal_NT[i : i + 1], rule=rule, scale=scale_N[i : i + 1], **market)["sharpe"][0] for i in some
    ])  # fmt: skip
    assert np.array_equal(alone, scores["sharpe"][list(some)]), "one call for all and one call each differ"
    loop_s = took.pop("one by one")[0][1] / len(some) * num

    seconds = {}
    for name, times in took.items():
        walls, cpus = zip(*times, strict=True)
        seconds[name] = {"wall": statistics.median(walls), "least": min(walls), "most": max(walls),
                         "cpu": statistics.median(cpus)}  # fmt: skip
    ranked = {kind: sum(seconds[n][kind] for n in ("positions and daily P&L", "CSCV")) for kind in ("wall", "cpu")}
    print(f"{num:,} candidates x {rows:,} bars, {daily_DN.shape[0]} days, {len(found.logits_S):,} splits")
    for name, t in seconds.items():
        print(f"  {name:24s} {t['wall']:6.2f} s [{t['least']:.2f}, {t['most']:.2f}], CPU {t['cpu']:.2f} s")
    print(f"  backtested and ranked    {ranked['wall']:6.2f} s, CPU {ranked['cpu']:.2f} s; PBO {found.probability:.3f}")
    print(f"  score, one call each     CPU {loop_s:.2f} s (from {len(some)} candidates)")
    print(
        f"  memory                   {signal_NT.nbytes / 2**20:.0f} MiB of signals, peak {peak - before:.0f} MiB more"
    )
    if given.out:
        facts = {"candidates": num, "bars": rows, "seconds": seconds, "ranked_s": ranked, "loop_s": loop_s,
                 "peak_mib": peak - before, "pbo": found.probability}  # fmt: skip
        given.out.write_text(json.dumps(facts, indent=2))


def peak_mib() -> float:
    """The most memory the process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
