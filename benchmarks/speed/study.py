"""The large study: 500,000 candles, 200 subnets, the five best retrained, on two cores: minutes and memory.

`tradenas run examples/bitfinex_btc_1m.toml` on the first 500,000 minutes, two workers.  Memory is the proportional set
size of the study and its workers together, twice a second: a page that several processes share counts once, as it
does on the machine.  Without `--full`, 60,000 minutes and one epoch, which says whether it runs and no more.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from speed.figure import Figure
from speed.world import candles_file

ROOT = Path(__file__).resolve().parents[2]


def family(pid: int) -> list[int]:
    """A process and those that it started, and theirs."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text(encoding="ascii").split():
                found += family(int(child))
        except OSError:
            continue
    return found


def shares(pid: int) -> tuple[int, int]:
    """Proportional and resident KiB of a process; nothing where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0, 0
    told = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:] if line.endswith("kB")}
    return told.get("Pss", 0), told.get("Rss", 0)


def figures(full: bool) -> Iterator[Figure]:
    file = candles_file("bitfinex_btcusd_1m_2017_2019.parquet")
    if file is None or not Path("/proc/self/smaps_rollup").exists():
        nan = float("nan")
        yield Figure.of("the large study", [nan], unit="min", note="needs TRADENAS_CANDLES, and Linux for its memory")
        return
    import pyarrow.parquet as pq

    rows = 500_000 if full else 60_000
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pq.read_table(file).slice(0, rows), f"{folder}/minutes.parquet")
        changes = ["data.source=" + f"{folder}/minutes.parquet"]
        if not full:
            changes += ["search.training.epochs=1", "trials.training.epochs=1", "search.num_ranked=40"]
        command = [
            sys.executable,
            "-c",
            "from tradenas.cli import main; raise SystemExit(main())",
            "run",
            str(ROOT / "examples" / "bitfinex_btc_1m.toml"),
        ]
        for change in changes:
            command += ["--set", change]
        began, peak, resident = time.perf_counter(), 0, 0
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            while process.poll() is None:
                seen = [shares(pid) for pid in family(process.pid)]
                peak, resident = max(peak, sum(p for p, _ in seen)), max(resident, sum(r for _, r in seen))
                time.sleep(0.5)
            said = process.stderr.read().decode() if process.stderr else ""
        took = time.perf_counter() - began
        if process.returncode not in (0, 3):  # 3: no edge was shown
            raise SystemExit(f"the study ended with {process.returncode}: {said[-500:]}")
    what = f"study of {rows:,} minutes, {200 if full else 40} subnets, top 5, two workers"
    yield Figure.of(f"{what}: wall time", [took / 60], bar=10 if full else None, at_least=False, unit="min")
    yield Figure.of(
        f"{what}: memory at its peak", [peak / 2**20], bar=2 if full else None, at_least=False, unit="GiB",
        note=f"proportional; resident sets sum up to {resident / 2**20:.2f} GiB",
    )  # fmt: skip
