"""What was retrained, timed on this machine beside what the table had predicted.

The table chose among architectures; the clock has the last word on those that may be traded.  Weights do not change how
long a network takes, so fresh networks of the same architectures are timed, in the rounds of one measurement.  Times
decide nothing here: they would not be the same twice, and a study killed and resumed has to end where it would have.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tradenas.atomic import write_json
from tradenas.cost import PriceList
from tradenas.cost.latency import Effort, Latency
from tradenas.cost.latency.machine import cpu_model, load
from tradenas.cost.latency.measuring import FLOOR
from tradenas.cost.latency.runtimes import Runtime
from tradenas.cost.latency.timing import Clock, percentiles, rounds
from tradenas.errors import ConfigError
from tradenas.events import Events
from tradenas.nn import Network
from tradenas.space import Architecture
from tradenas.study.budget import price_list
from tradenas.study.config import StudyConfig
from tradenas.study.folder import RunFolder
from tradenas.train.store import load_dataset

__all__ = ["time_finalists", "timed"]

#: Single calls of each network for the 99th percentile.
CALLS = 500


def time_finalists(
    folder: RunFolder,
    config: StudyConfig,
    events: Events,
    *,
    base: Path,
    effort: Effort | None = None,
    runtime: Runtime | None = None,
    clock: Clock = time.perf_counter_ns,
) -> None:
    """Writes `retrain/latency.json`; nothing where it is there, or where the study has no latency table.

    Args:
        folder: of a run whose finalists are retrained.
        config: its study.
        events: told where the machine was not steady, or a network is slower than the limit.
        base: where relative paths of the study start.
        effort: how long to measure.
        runtime: another than the table's, in tests.
        clock: in tests.
    """
    if not config.budget.table or folder.latency.exists() or not folder.strategies.exists():
        return
    data = load_dataset(folder.open_rows)
    prices = price_list(config, data.layout, data.indicators, base=base)
    rows = folder.read(folder.strategies)["strategies"]
    wanted = {
        row["name"]: Architecture.from_plain(row["architecture"]) for row in rows if row.get("architecture") is not None
    }
    with events.span("timing", len(wanted)):
        record = timed(prices, wanted, effort=effort, runtime=runtime, clock=clock)
    write_json(folder.latency, record)
    for words in _warnings(record):
        events.warn("timing", words)


def timed(
    prices: PriceList,
    wanted: dict[str, Architecture],
    *,
    effort: Effort | None = None,
    runtime: Runtime | None = None,
    clock: Clock = time.perf_counter_ns,
) -> dict[str, Any]:
    """Networks by name, predicted and measured.

    Args:
        prices: with a latency table.
        wanted: architectures that leave, by the name of their strategy.
        effort: how long to measure.
        runtime: another than the table's, in tests.
        clock: in tests.

    Raises:
        ConfigError: prices without a table.
    """
    cost = prices.costs.get("latency_us")
    if not isinstance(cost, Latency):
        raise ConfigError("budget.table", got="no latency table", expected="one, to time networks by")
    used, network = runtime or cost.runtime, cost.network
    distinct = list(dict.fromkeys(wanted.values()))
    before = load()
    calls = used.nets([_alone(network, a) for a in distinct])
    seen = rounds(calls, used.probe(), effort, clock=clock)
    median = dict(zip(distinct, (seen.probes_N * seen.probe_us).tolist(), strict=True))
    tails = {a: percentiles(call, CALLS, clock)[1] for a, call in zip(distinct, calls, strict=True)}
    table = cost.table
    return {
        "points": [
            {
                "name": name,
                "digest": a.digest,
                "predicted_us": cost.exact(a),
                "measured_us": median[a],
                "p99_us": tails[a],
            }
            for name, a in wanted.items()
        ],
        "backend": used.name,
        "mode": "stream" if used.stream else "window",
        "threads": used.threads,
        "cpu": cpu_model(),
        "load": max(before, load()),
        "floor": seen.retest(slice(None)),
        "limit_us": prices.limits.get("latency_us"),
        "slower": seen.probe_us / table.us,
        "table": {"device": table.device, "made": table.made, "floor": table.floor, "error": table.error},
    }


def _alone(network: Network, architecture: Architecture) -> Network:
    return network.standalone(architecture, seed=0)


def _warnings(record: dict[str, Any]) -> list[str]:
    told = []
    if record["floor"] > FLOOR:
        told.append(
            f"two halves of the measurement differ by {record['floor']:.1%}, more than {FLOOR:.0%}: "
            "the machine was not steady, and these times are worth little"
        )
    limit = record["limit_us"]
    slow = [p for p in record["points"] if limit is not None and p["measured_us"] > limit]
    return told + [
        f"{p['name']} takes {p['measured_us']:.3g} us, over the limit of {limit:g} us that its prediction of "
        f"{p['predicted_us']:.3g} us meets"
        for p in slow
    ]
