"""How far a run is, seen from outside: its events and its ledger are read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tradenas.cli.progress import TITLES
from tradenas.errors import FolderError
from tradenas.events import Events
from tradenas.report.markup import printable
from tradenas.report.wording import count, elapsed
from tradenas.study.folder import RunFolder
from tradenas.trials.ledger import Ledger

__all__ = ["Glance", "StageSeen", "follow", "glance"]

BLOCKS = "▁▂▃▄▅▆▇█"
TRACE = 40
WARNINGS = 3
#: Silence after which a stage that has not ended may be dead.
SILENT_S = 300.0


@dataclass(kw_only=True)
class StageSeen:
    """One stage: `state` is `running`, `done` or `failed`; `done` counts its epochs or jobs.

    `working` are the jobs that are at work: those in one list are trained together.
    """

    name: str
    state: str = "running"
    began: float = 0.0
    seconds: float = 0.0
    done: int = 0
    failed: int = 0
    error: str = ""
    working: list[list[str]] = field(default_factory=list)

    def leave(self, jobs: Sequence[object]) -> None:
        """These are at work no more."""
        left = [[job for job in stack if job not in jobs] for stack in self.working]
        self.working = [stack for stack in left if stack]

    @property
    def steps(self) -> str:
        """In words: how many are done, how many failed, and how many are at work."""
        words = [count(self.done)] if self.done else []
        words += [f"{count(self.failed)} failed"] if self.failed else []
        if self.working and self.state == "running":
            jobs, stacks = sum(map(len, self.working)), len(self.working)
            words.append(f"{count(jobs)} at work" + (f" in {stacks} stack{'s'[: stacks > 1]}" if stacks < jobs else ""))
        return ", ".join(words)


@dataclass(kw_only=True)
class Glance:
    """One look at a run folder.

    Attributes:
        name: of the folder.
        stages: in the order in which they began.
        trials: rows of the ledger by stage.
        losses: of the search's epochs so far.
        log: figures of the last epoch.
        warnings: all that were given.
        verdict: its word, once there is one.
        silent_s: seconds since the last event.
    """

    name: str
    stages: list[StageSeen] = field(default_factory=list)
    trials: dict[str, int] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    log: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    verdict: str | None = None
    silent_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "stages": [vars(stage) for stage in self.stages]}

    def __rich__(self) -> RenderableType:
        """A table of stages, the losses as a line, the last warnings."""
        table = Table(title=Text(printable(self.name)))
        for column in ("stage", "state", "steps", "time"):
            table.add_column(column)
        for stage in self.stages:
            style = {"failed": "bold red", "running": "bold"}.get(stage.state, "")
            words = f"{stage.state}: {stage.error}" if stage.error else stage.state
            title = Text(printable(TITLES.get(stage.name, stage.name)))
            table.add_row(title, Text(printable(words), style=style), stage.steps, elapsed(stage.seconds))
        lines: list[RenderableType] = [table]
        if self.losses:
            said = " ".join(f"{name} {value:.4g}" for name, value in self.log.items() if name != "loss")
            lines.append(Text(printable(f"loss {spark(self.losses)} {self.losses[-1]:.4f}  {said}")))
        if self.trials:
            told = ", ".join(f"{name} {count(num)}" for name, num in self.trials.items())
            lines.append(Text(printable(f"{count(sum(self.trials.values()))} trials counted ({told})")))
        lines += [Text(printable(f"warning: {words}"), style="yellow") for words in self.warnings[-WARNINGS:]]
        if self.verdict is not None:
            lines.append(Text(printable(self.verdict), style="bold"))
        elif self.silent_s > SILENT_S:
            words = (
                f"nothing has happened for {elapsed(self.silent_s)}: if its process is gone, `tradenas resume` goes on"
            )
            lines.append(Text(words, style="yellow"))
        return Group(*lines)


def spark(values: Sequence[float], width: int = TRACE) -> str:
    """The last values as blocks, the lowest at the bottom.

    >>> spark([3.0, 2.0, 1.0])
    '█▅▁'
    """
    last = [value for value in values if value == value][-width:]
    if not last:
        return ""
    low, size = min(last), (max(last) - min(last)) or 1.0
    return "".join(BLOCKS[round((value - low) / size * (len(BLOCKS) - 1))] for value in last)


def glance(folder: str | Path, *, now: float | None = None) -> Glance:
    """Looks once.

    Raises:
        FolderError: no run folder.
    """
    run = RunFolder.existing(Path(folder))
    seen, stages = Glance(name=run.path.name), dict[str, StageSeen]()
    last, now = 0.0, time.time() if now is None else now
    epochs: dict[int, float] = {}
    for event in Events(run.path / "events.jsonl").read():
        last = float(event["time"])
        stage = str(event.get("stage", ""))
        kind = event["kind"]
        if kind == "begin":
            stages[stage] = StageSeen(name=stage, began=last, done=stages[stage].done if stage in stages else 0)
        elif kind in ("end", "fail") and stage in stages:
            stages[stage].state = "done" if kind == "end" else "failed"
            stages[stage].seconds = float(event.get("seconds", last - stages[stage].began))
            stages[stage].error = str(event.get("error", ""))
        elif kind == "epoch" and stage in stages:
            stages[stage].done = int(event["epoch"]) + 1
            if "loss" in event:
                epochs[int(event["epoch"])] = float(event["loss"])
            fixed = {"time", "kind", "stage", "epoch", "seconds"}
            seen.log = {k: float(v) for k, v in event.items() if k not in fixed and isinstance(v, int | float)}
        elif kind == "working" and stage in stages:
            stages[stage].leave(event["ids"])  # where a worker died at them
            stages[stage].working.append(list(event["ids"]))
        elif kind == "job" and stage in stages:
            stages[stage].leave([event.get("id")])
            stages[stage].done += 1
            stages[stage].failed += event.get("error") is not None
        elif kind == "warning":
            seen.warnings.append(f"{stage}: {event.get('message', '')}")
    seen.stages, seen.losses = list(stages.values()), [epochs[e] for e in sorted(epochs)]
    seen.silent_s = max(0.0, now - last) if last else 0.0
    for one in seen.stages:
        if one.state == "running":
            one.seconds = max(0.0, now - one.began)
    if run.ledger.exists():
        with Ledger(run.ledger) as ledger:
            seen.trials = ledger.count_by_stage()
    if run.verdict.exists():
        seen.verdict = str(run.read(run.verdict)["verdict"])
    return seen


def follow(folder: str | Path, *, every_s: float = 1.0, console: Console | None = None) -> Glance:
    """Looks again and again, until there is a verdict or Ctrl-C."""
    with Live(glance(folder), console=console or Console(), refresh_per_second=4) as live:
        while True:
            try:
                seen = glance(folder)
            except FolderError:  # half-written in this very moment
                time.sleep(every_s)
                continue
            live.update(seen)
            if seen.verdict is not None:
                return seen
            time.sleep(every_s)
