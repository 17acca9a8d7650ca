"""What a latency table says of networks that it has not seen, against measuring them; beside simpler predictors.

    python benchmarks/latency_tables.py [--nets 100] [--backend onnxruntime c] [--space chain cell] [--stream]

The spaces are those of `examples/bybit_btc_1h.toml` (a chain with groups that are switched) and of
`examples/bybit_btc_1h_cell.toml`.  A table is built and whole networks are timed in the same rounds; those that its
three coefficients were fitted on are not among those it is checked on.  Beside it, fitted on the same ten networks:
MACs, MACs and the number of parts; and the sum of parts that each pay for a call, as a table of single-op sessions
would.  Another process then loads the table, scales it by three of its networks, and times the same networks anew.
Figures say how steady the machine was (`floor`); `latency_tables.json` has predicted and measured of every network.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from tradenas.cost.devices import device
from tradenas.cost.latency import Latency, measure
from tradenas.cost.latency.fit import relative_fit
from tradenas.cost.latency.measuring import make_runtime, time_nets
from tradenas.cost.latency.runtimes import program_of
from tradenas.cost.latency.samples import EMPTY
from tradenas.cost.latency.timing import rounds
from tradenas.nn import Layout, Network, hard
from tradenas.space import Architecture
from tradenas.study.config import read_config

EXAMPLES = Path(__file__).parents[1] / "examples"
STUDIES = {"chain": "bybit_btc_1h.toml", "cell": "bybit_btc_1h_cell.toml"}


def network_of(space: str) -> Network:
    config = read_config(EXAMPLES / STUDIES[space])
    columns = config.columns
    layout = Layout(groups=tuple(columns.values()), transforms=config.space.blocks, names=tuple(columns))
    return Network(config.full_space.space(columns), layout)


def scores(name: str, predicted: np.ndarray, measured: np.ndarray) -> dict[str, float]:
    off = np.abs(predicted / measured - 1)
    found = {
        "mape": float(off.mean()), "within_10": float((off <= 0.1).mean()), "worst": float(off.max()),
        "spearman": float(spearmanr(predicted, measured)[0]), "bias": float((predicted / measured - 1).mean()),
    }  # fmt: skip
    print(f"  {name:34s} MAPE {found['mape']:7.2%}  within 10 % {found['within_10']:4.0%}  Spearman "
          f"{found['spearman']:.4f}  worst {found['worst']:6.1%}  bias {found['bias']:+.1%}", flush=True)  # fmt: skip
    return found


def table_of(space: str, backend: str, nets: int, folder: Path, *, stream: bool) -> dict[str, object]:
    network, profile = network_of(space), replace(device("cpu-1core"), mode="stream" if stream else "window")
    found = measure(network, profile, backend, check=nets, accept=True)
    table, path = found.table, folder / f"{space}-{backend}.json"
    table.save(path)
    print(f"\n{space}, {backend}, {profile.mode}: {table.conditions.cpu}, load {table.load[0]} to {table.load[1]}")
    print(f"  {table.samples} programs in {table.seconds:.0f} s ({nets} networks to check included), floor "
          f"{table.floor:.2%}, probe {table.probe_us:.3f} us, p99/p50 {table.p99:.2f}", flush=True)  # fmt: skip
    y = np.array([c.measured_us for c in found.checks])
    told = {"table": scores("table", np.array(found.predicted_us), y)}
    runtime = make_runtime(profile, backend)
    empty = rounds(runtime.samples([EMPTY]), runtime.probe())
    call_us = float(empty.probes_N[0]) * table.us
    total, parts = (np.array([getattr(c, n) for c in found.checks], float) for n in ("total", "parts"))
    told["naive"] = scores("sum, every part with its call", total * table.us + parts * call_us, y)
    told["once"] = scores("sum, one call, nothing fitted", total * table.us + call_us, y)
    macs, programs = [], [*table.nets, *found.checks]
    for net in programs:
        alone = network.standalone(Architecture.from_plain(net.architecture), seed=0)
        macs.append(float(program_of(alone).window_macs()))
    n, fitted = len(table.nets), [x.measured_us for x in table.nets]
    columns = [macs, [float(x.parts) for x in programs]]
    for name, used in (("MACs", columns[:1]), ("MACs and parts", columns)):
        found_by = relative_fit([c[:n] for c in used], fitted)
        told[name] = scores(name, np.column_stack([np.ones(len(y)), *(c[n:] for c in used)]) @ found_by, y)
    latency = Latency(network, table)
    architectures = [Architecture.from_plain(c.architecture) for c in found.checks]
    gaps = [abs(float(latency.expected(hard(network.space, a))) / latency.exact(a) - 1) for a in architectures]
    print(f"  expected under indices against exact: {np.mean(gaps):.2%} in the mean, {max(gaps):.1%} at most")
    (folder / "nets.json").write_text(json.dumps([dict(a) for a in architectures]))
    command = [sys.executable, __file__, "--again", str(path), "--space", space]
    answer = subprocess.run(
        [*command, "--nets-file", str(folder / "nets.json")], capture_output=True, text=True, check=True
    )
    other = json.loads(answer.stdout)
    again = np.array(other["measured_us"])
    print(f"  another process: {other['factor']:.3f} times slower, floor {other['floor']:.2%}")
    told["other process, as it was"] = scores("other process, as it was", np.array(other["before_us"]), again)
    told["other process, rescaled"] = scores("other process, rescaled", np.array(other["after_us"]), again)
    return {
        "space": space, "backend": backend, "mode": profile.mode, "cpu": table.conditions.cpu, "load": table.load,
        "seconds": table.seconds,
        "samples": table.samples, "floor": table.floor, "probe_us": table.probe_us, "p99_over_p50": table.p99,
        "between_us": table.between_us, "scores": told, "expected_gap": float(np.mean(gaps)), "other": other,
        "measured_us": y.tolist(), "predicted_us": list(found.predicted_us), "macs": macs[n:],
    }  # fmt: skip


def again(path: Path, space: str, nets: Path) -> None:
    """In another process: what the table says before and after it is rescaled, and what is."""
    network = network_of(space)
    latency = Latency.load(network, path)
    architectures = [Architecture.from_plain(a) for a in json.loads(nets.read_text())]
    before = [latency.exact(a) for a in architectures]
    factor = latency.rescale(accept=True)
    measured, _, floor = time_nets(latency.runtime, network, architectures)
    after = [latency.exact(a) for a in architectures]
    print(
        json.dumps({"factor": factor, "floor": floor, "before_us": before, "after_us": after, "measured_us": measured})
    )


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--nets", type=int, default=100)
    given.add_argument("--backend", nargs="+", default=["onnxruntime", "c"])
    given.add_argument("--space", nargs="+", default=["chain", "cell"])
    given.add_argument("--stream", action="store_true", help="one more row at a time, instead of windows")
    given.add_argument("--out", type=Path, default=Path())
    given.add_argument("--again", type=Path)
    given.add_argument("--nets-file", type=Path)
    asked = given.parse_args()
    torch.set_num_threads(1)
    if asked.again:
        again(asked.again, asked.space[0], asked.nets_file)
        return
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for backend in asked.backend:
            spaces = asked.space if backend == "onnxruntime" else asked.space[:1]
            found += [table_of(space, backend, asked.nets, Path(folder), stream=asked.stream) for space in spaces]
    (asked.out / "latency_tables.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
