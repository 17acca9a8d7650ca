"""Kills a study with SIGKILL at random moments, resumes it until it is done, and compares every bit that counts.

    python benchmarks/kill.py                 # 25 kills, a study with two worker processes
    python benchmarks/kill.py --kills 3 --runner inline --seed 1
    python benchmarks/kill.py --panel         # a study of two markets, traded as one portfolio

Rounds: a study is begun in a new folder and killed again and again until it ends; then the next round, until all
kills are spent.  A moment is drawn by stage first (each stage that is not done yet, and "anywhere", alike) and then
within what that stage took in the uninterrupted run, because short stages matter as much as long ones.  Every other
resume goes through `Study.resume`, the rest through `Study.run`.  The hash of a round covers candidates, coupling,
strategies, verdict, daily P&L, the weights and signals of every job, and the fingerprint of the ledger.

Only one thing differs from `tradenas run`: the search saves its state after every epoch, not every 30 seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

STAGES = ("data", "search", "coupling", "causes", "baselines", "retrain", "vault")
TINY: dict[str, Any] = {
    "name": "killed",
    "seed": 3,
    "data": {"source": "planted:reversal", "bars": 2500},
    "features": {"indicators": ["log_return_1", "rsi_14", "volume_ratio_20"], "window": 20},
    "space": {
        "depths": [1, 2], "widths": [4, 8], "ops": ["skip", "dense", "conv3", "gated", "gru"], "lookbacks": [5, 10],
        "norms": ["none", "layer", "batch"], "dropouts": [0.0, 0.1],
    },
    "search": {
        "kind": "spos", "num_ranked": 30, "find": {"population": 5},
        "training": {"epochs": 16, "segment": 32, "batch": 256},
    },
    "trials": {
        "top_k": 2, "seeds": 2, "random": 1, "coupling": 3, "coupling_seeds": 1, "reps": 100, "tuning_budget": 2,
        "causes": {"paths": 4, "rows": 128, "epochs": 1},
        "baselines": ["flat", "hold", "reversal", "linear"], "training": {"epochs": 3, "segment": 32, "batch": 256},
    },
}  # fmt: skip


def study_of(runner: str, *, panel: bool = False) -> dict[str, Any]:
    """The study that is killed."""
    data = {"source": "planted:lead_lag", "symbols": "all", "bars": 2500} if panel else TINY["data"]
    return {**TINY, "data": data, "runner": {"kind": runner, "workers": 2}}


def child(runs: Path, runner: str, how: str, *, panel: bool = False) -> None:
    """The process that is killed: a study from wherever it stands to its end."""
    from tradenas.search.base import run_search
    from tradenas.study import Study, searching

    folder = _folder(runs)
    searching.run_search = partial(run_search, save_every_s=0.0)  # type: ignore[assignment]
    try:
        if how == "resume" and folder is not None and (folder / "study.toml").exists():
            Study.resume(folder)
        else:
            Study.of(study_of(runner, panel=panel)).run(runs)
    finally:
        searching.run_search = run_search


def _folder(runs: Path) -> Path | None:
    return next(iter(sorted(runs.glob("*-????????"))), None)


def content(folder: Path) -> dict[str, str]:
    """SHA-256 of everything a study found, part by part; times, process numbers and the order of files left out."""
    from tradenas.trials.ledger import Ledger

    parts: dict[str, str] = {}
    for name in ("data.json", "search/candidates.json", "coupling.json", "retrain/strategies.json", "verdict.json"):
        facts = json.loads((folder / name).read_text(encoding="utf-8"))
        parts[name] = _sha(json.dumps(_timeless(facts), sort_keys=True).encode())
    for name in ("retrain/daily.parquet", "data/open.safetensors", "data/sealed.safetensors", "study.toml"):
        parts[name] = _sha((folder / name).read_bytes())
    jobs = folder / "retrain" / "jobs"
    files = sorted(p for job in jobs.iterdir() if len(job.name) == 64 for p in job.rglob("*") if p.is_file())
    parts["jobs"] = _sha(b"".join(f"{p.relative_to(jobs)} {_sha(p.read_bytes())}\n".encode() for p in files))
    newest = max((folder / "search").glob("gen-*"), key=lambda p: int(p.name[4:]))
    parts["supernet"] = _sha((newest / "state.safetensors").read_bytes())
    with Ledger(folder / "ledger.db") as ledger:
        parts["ledger"] = ledger.fingerprint()
        parts["order of trials"] = _sha(repr([(t.stage, t.key) for t in ledger.trials()]).encode())
        parts["vault looks"] = str(len(ledger.looks()))
    return parts


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _timeless(value: Any) -> Any:
    """Without wall times: the one thing that a kill may change."""
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k != "seconds"}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


@dataclass
class Kill:
    """One SIGKILL: in which round, where the study was, and when since the start."""

    round: int
    aimed: str
    hit: str
    at_s: float
    orphans_s: float


@dataclass
class Outcome:
    """What came of it."""

    plain_s: float
    want: dict[str, str]
    kills: list[Kill] = field(default_factory=list)
    differs: dict[int, list[str]] = field(default_factory=dict)
    rounds: int = 0

    @property
    def per_stage(self) -> dict[str, int]:
        return dict(Counter(kill.hit for kill in self.kills))


def _events(runs: Path) -> list[dict[str, Any]]:
    folder = _folder(runs)
    if folder is None or not (folder / "events.jsonl").exists():
        return []
    found = []
    for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # torn by a kill
    return found


def _where(events: list[dict[str, Any]]) -> str:
    """The stage a study is in by its events; between two stages, `after X`; before any, `start`."""
    last = "start"
    for event in events:
        if event["kind"] == "run":
            last = "start"
        elif event["kind"] == "begin":
            last = event["stage"]
        elif event["kind"] == "end":
            last = f"after {event['stage']}"
    return last


def _start(runs: Path, runner: str, how: str, *, panel: bool) -> subprocess.Popen[bytes]:
    also = ["--panel"] if panel else []
    return subprocess.Popen(
        [sys.executable, __file__, "--child", str(runs), "--runner", runner, "--how", how, *also],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _workers_of(pid: int) -> list[int]:
    """Worker processes that were started by a process, which may be gone."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                words = (path / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"tradenas.trials.worker" in words and str(pid).encode() in words:
                found.append(int(path.name))
    return found


def _kill(process: subprocess.Popen[bytes], *, group: bool) -> float:
    """SIGKILL, to the process or its group; returns how long its workers outlived it, which they must not do."""
    (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    process.communicate()
    began = time.monotonic()
    while left := _workers_of(process.pid):
        if time.monotonic() - began > 10.0:
            raise SystemExit(f"worker processes {left} outlived their supervisor by 10 s")
        time.sleep(0.01)
    return time.monotonic() - began


def _until(runs: Path, process: subprocess.Popen[bytes], aimed: str, wait_s: float) -> bool:
    """Waits for the moment that was aimed at; False if the study ended before."""
    begins = sum(e["kind"] == "begin" and e["stage"] == aimed for e in _events(runs))
    began: float | None = time.monotonic() if aimed == "anywhere" else None
    while process.poll() is None:
        if began is None and sum(e["kind"] == "begin" and e["stage"] == aimed for e in _events(runs)) > begins:
            began = time.monotonic()
        if began is not None and time.monotonic() - began >= wait_s:
            return True
        time.sleep(0.002)
    return False


def _ended(process: subprocess.Popen[bytes]) -> None:
    _, error = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"the study failed with exit code {process.returncode}:\n{error.decode()[-3000:]}")


def killed(
    kills: int,
    *,
    runner: str = "process",
    seed: int = 0,
    folder: Path,
    here: bool = False,
    panel: bool = False,
    say: Any = print,
) -> Outcome:
    """Runs the study once in peace, then kills it `kills` times; see the top of this file.

    `here` runs what is not to be killed in this process, which saves the seconds that an interpreter takes to start.
    """
    rng = random.Random(seed)
    began = time.monotonic()
    plain = folder / "plain"
    child(plain, runner, "run", panel=panel) if here else _ended(_start(plain, runner, "run", panel=panel))
    outcome = Outcome(plain_s=time.monotonic() - began, want=content(_folder(plain) or plain))
    took = {e["stage"]: e["seconds"] for e in _events(plain) if e["kind"] == "end"}
    say(f"uninterrupted: {outcome.plain_s:.1f} s, {took}")
    aims: Counter[str] = Counter()
    while len(outcome.kills) < kills:
        outcome.rounds += 1
        runs, starts = folder / f"round{outcome.rounds}", 0
        while True:
            done = {e["stage"] for e in _events(runs) if e["kind"] == "end"}
            open_stages = [s for s in STAGES if s not in done]
            aimed = min([*open_stages, "anywhere"], key=lambda s: (aims[s], rng.random()))
            aims[aimed] += 1
            wait_s = rng.uniform(0.0, took.get(aimed, outcome.plain_s))
            if here and len(outcome.kills) >= kills:
                child(runs, runner, "resume", panel=panel)
                break
            process = _start(runs, runner, "resume" if starts % 2 else "run", panel=panel)
            starts += 1
            if len(outcome.kills) >= kills or not _until(runs, process, aimed, wait_s):
                _ended(process)
                break
            at = time.monotonic()
            orphans_s = _kill(process, group=bool(rng.getrandbits(1)))
            kill = Kill(outcome.rounds, aimed, _where(_events(runs)), at - began, orphans_s)
            outcome.kills.append(kill)
            say(f"kill {len(outcome.kills):2d}  round {kill.round}  aimed {aimed:<10} hit {kill.hit:<16} "
                f"orphans gone after {1000 * orphans_s:.0f} ms")  # fmt: skip
        got = content(_folder(runs) or runs)
        differs = [name for name in outcome.want if got[name] != outcome.want[name]]
        if differs:
            outcome.differs[outcome.rounds] = differs
        told = f"DIFFERS in {', '.join(differs)}" if differs else "same hash"
        say(f"round {outcome.rounds} ended after {starts} starts: {told}")
    return outcome


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--runner", choices=("process", "inline"), default="process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep the runs there")
    parser.add_argument("--panel", action="store_true", help="a study of two markets")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--how", default="run", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child is not None:
        child(asked.child, asked.runner, asked.how, panel=asked.panel)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        where = asked.folder or Path(scratch)
        outcome = killed(asked.kills, runner=asked.runner, seed=asked.seed, folder=where, panel=asked.panel)
        print(f"\n{len(outcome.kills)} kills in {outcome.rounds} rounds, {time.monotonic() - began:.0f} s")
        for stage, count in sorted(outcome.per_stage.items()):
            print(f"  {stage:<18} {count}")
        print("hash:", hashlib.sha256(repr(sorted(outcome.want.items())).encode()).hexdigest()[:16])
        print(
            "DIFFERS" if outcome.differs else "all rounds have the hash of the uninterrupted run", outcome.differs or ""
        )
    return 1 if outcome.differs else 0


if __name__ == "__main__":
    sys.exit(main())
