"""Progress bars on standard error, or a plain line a stage where that is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["Bars"]

TITLES = {
    "data": "candles and features",
    "budget": "what networks may cost",
    "search": "search",
    "coupling": "supernet against standalone",
    "causes": "why the supernet errs",
    "baselines": "tuning baselines",
    "retrain": "retraining finalists",
    "timing": "timing finalists",
    "paths": "other periods",
    "vault": "the vault",
    "latency": "timing parts",
}


class Bars:
    """A bar for each stage."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.live = sys.stderr.isatty()
        self.progress: Progress | None = None
        self.tasks: dict[str, TaskID] = {}
        self.began: dict[str, float] = {}

    def start(self, stage: str, total: int) -> None:
        """A stage begins."""
        self.began[stage] = time.perf_counter()
        if not self.live:
            return
        if self.progress is None:
            self.progress = Progress(
                TextColumn("{task.description:<28}"),
                BarColumn(bar_width=28),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", style="dim"),
                console=self.console,
            )
            self.progress.start()
        self.tasks[stage] = self.progress.add_task(TITLES.get(stage, stage), total=total or None, note="")

    def advance(self, stage: str, done: int, note: str = "") -> None:
        """`done` steps are behind us."""
        if self.progress is not None and stage in self.tasks:
            self.progress.update(self.tasks[stage], completed=done, note=note[:36])

    def warn(self, stage: str, words: str) -> None:
        """A warning, above the bars."""
        where = self.progress.console if self.progress is not None else self.console
        where.print(Text(f"warning: {TITLES.get(stage, stage)}: {words}", style="yellow"), highlight=False)

    def say(self, stage: str, lines: Sequence[str]) -> None:
        """A small table, above the bars."""
        where = self.progress.console if self.progress is not None else self.console
        for line in (f"{TITLES.get(stage, stage)}:", *(f"  {line}" for line in lines)):
            where.print(Text(line), highlight=False, soft_wrap=True)

    def end(self, stage: str) -> None:
        """The stage is over; the last line of it stays."""
        seconds = time.perf_counter() - self.began.get(stage, time.perf_counter())
        if not self.live:
            self.console.print(f"{TITLES.get(stage, stage)}: {seconds:.1f} s", highlight=False)
            return
        if self.progress is not None and stage in self.tasks:
            task = self.tasks.pop(stage)
            total = self.progress.tasks[task].total
            self.progress.update(task, completed=total or 1, total=total or 1, note="")
            if not self.tasks:
                self.progress.stop()
                self.progress = None
