"""What a long run tells the world: JSONL events in its folder, and progress to whoever watches."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Events", "NullProgress", "Progress"]


class Progress(Protocol):
    """Something that shows how far a stage is.  The CLI draws bars; tests and notebooks may pass their own."""

    def start(self, stage: str, total: int) -> None:
        """A stage begins; `total` is the number of steps, 0 where it is not known."""

    def advance(self, stage: str, done: int, note: str = "") -> None:
        """`done` steps of the stage are behind us."""

    def warn(self, stage: str, words: str) -> None:
        """Something that a person should know, and that stops nothing."""

    def say(self, stage: str, lines: Sequence[str]) -> None:
        """Something that a person should read, such as a small table."""

    def end(self, stage: str) -> None:
        """The stage is over."""


class NullProgress:
    """Shows nothing."""

    def start(self, stage: str, total: int) -> None:
        """Nothing to show."""

    def advance(self, stage: str, done: int, note: str = "") -> None:
        """Nothing to show."""

    def warn(self, stage: str, words: str) -> None:
        """Nothing to show."""

    def say(self, stage: str, lines: Sequence[str]) -> None:
        """Nothing to show."""

    def end(self, stage: str) -> None:
        """Nothing to show."""


class Events:
    """An append-only JSONL file of spans and scalars, plus a `Progress` that sees the same stages.

    Args:
        file: where lines go; None keeps nothing.
        progress: who watches.
    """

    def __init__(self, file: Path | None = None, progress: Progress | None = None) -> None:
        self.file = file
        self.progress: Progress = progress or NullProgress()

    def write(self, kind: str, **fields: object) -> None:
        """One line.  A torn last line (a power cut) is skipped by readers."""
        if self.file is None:
            return
        line = json.dumps({"time": round(time.time(), 3), "kind": kind, **fields}, sort_keys=True)
        with self.file.open("a", encoding="utf-8") as out:
            out.write(line + "\n")

    def read(self) -> Iterator[dict[str, Any]]:
        """The lines so far, those of earlier sessions included; torn ones are passed over."""
        if self.file is None or not self.file.exists():
            return
        for line in self.file.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue

    def warn(self, stage: str, words: str) -> None:
        """Something that a person should know, and that stops nothing: a line of kind `warning`, and shown at once."""
        self.write("warning", stage=stage, message=words)
        self.progress.warn(stage, words)

    def say(self, stage: str, lines: Sequence[str]) -> None:
        """Something that a person should read: a line of kind `said`, and shown at once."""
        self.write("said", stage=stage, lines=list(lines))
        self.progress.say(stage, lines)

    @contextmanager
    def span(self, stage: str, total: int = 0) -> Iterator[None]:
        """A stage with its wall time; an exception is written down and passed on."""
        began = time.perf_counter()
        self.write("begin", stage=stage)
        self.progress.start(stage, total)
        try:
            yield
        except BaseException as error:
            self.write("fail", stage=stage, error=type(error).__name__, message=str(error)[:500])
            raise
        finally:
            self.progress.end(stage)
        self.write("end", stage=stage, seconds=round(time.perf_counter() - began, 3))
