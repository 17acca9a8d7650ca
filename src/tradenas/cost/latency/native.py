"""Generated C, timed inside C: what a call from Python adds is the same for every network, and not in the table."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tradenas.cost.latency.parts import Part
from tradenas.cost.latency.runtimes import RUNTIMES, ProgramRuntime
from tradenas.cost.latency.samples import Sample
from tradenas.cost.latency.timing import Call
from tradenas.errors import ConfigError
from tradenas.formats.program import Program
from tradenas.typing import FloatArray

if TYPE_CHECKING:
    from tradenas.formats.c.library import Member

__all__ = ["C"]

#: Rows that input and sink are measured on.
ENDS = (3, 48)
#: Programs that go into one compiler run.
TOGETHER = 48


class _InC:
    """A compiled network that times itself."""

    def __init__(self, member: Member, *, stream: bool) -> None:
        self.member, self.stream = member, stream

    def times_us(self, number: int) -> FloatArray:
        return self.member.nanoseconds(number, streaming=self.stream) / 1e3


@RUNTIMES.register("c")
class C(ProgramRuntime):
    """One C file of vector code a network (`tradenas.formats.c`); many are compiled at once, one compiler a core."""

    name = "c"
    most = 200  # a compiler takes ten times as long as ONNX Runtime to take a program in
    block, inputs = 0, 2
    woven = True

    def __init__(
        self, *, threads: int = 1, batch: int = 1, precision: str = "float32", stream: bool = False
    ) -> None:  # fmt: skip
        super().__init__(threads=threads, batch=batch, precision=precision, stream=stream)
        if batch != 1 or threads != 1:
            raise ConfigError("c", got=f"batch {batch}, threads {threads}", expected="1 and 1: one window, one core")

    def versions(self) -> dict[str, str]:
        from tradenas import loader

        try:
            command = loader.compiler()
        except loader.NoCompiler:
            return super().versions()
        path = shutil.which(command[0]) or command[0]
        told = subprocess.run([path, "-dumpfullversion"], capture_output=True, text=True, check=False)  # noqa: S603
        return {**super().versions(), "compiler": f"{command[0]} {told.stdout.strip()} {' '.join(loader.FLAGS)}"}

    def lies(self, channels: int) -> str:
        """In vectors of 16, 8 and 4; rows that end where these do are not copied."""
        from tradenas.formats.c.layout import chunks

        found = chunks(channels)
        return "+".join(str(c.width) for c in found) + ("" if found[-1].used == found[-1].width else " padded")

    def recipe(self, part: Part, rows: int) -> dict[Sample, float]:
        """Input and sink on few and on many rows tell what they take in between: their times lie on a line."""
        found: dict[Sample, float] = {}
        few, many = ENDS
        for sample, factor in super().recipe(part, rows).items():
            if sample.what != "base" or sample.rows <= 2:
                found[sample] = found.get(sample, 0.0) + factor
                continue
            for end, share in ((few, many - sample.rows), (many, sample.rows - few)):
                at = sample._replace(rows=end)
                found[at] = found.get(at, 0.0) + factor * share / (many - few)
        return {sample: factor for sample, factor in found.items() if factor}

    def build(self, programs: Sequence[Program]) -> list[Call]:
        from tradenas.formats.c.library import compile_library

        with tempfile.TemporaryDirectory(prefix="tradenas-latency-") as folder:

            def compiled(first: int) -> list[Member]:
                names = {f"p{k}": [programs[k]] for k in range(first, min(first + TOGETHER, len(programs)))}
                return list(compile_library(names, folder, f"b{first}").values())

            with ThreadPoolExecutor(os.cpu_count()) as pool:
                members = [m for part in pool.map(compiled, range(0, len(programs), TOGETHER)) for m in part]
        return [_InC(member, stream=self.stream) for member in members]
