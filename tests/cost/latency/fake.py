"""A machine whose times are known: every step takes what a formula says, and a clock that only calls move."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tradenas.cost.devices import Device
from tradenas.cost.latency.runtimes import ProgramRuntime, program_of
from tradenas.cost.latency.timing import Call, Effort
from tradenas.formats.program import Input, LayerNorm, Pick, Program, Step, Taps
from tradenas.nn import Layout, Network
from tradenas.space import Cell, Chain, SearchSpace

DEVICE = Device(name="fake", kind="cpu", words="", backends=("onnxruntime",))
QUICK = Effort(rounds=8, slice_us=1.0, least=1, most=1, block=4)
LAYOUT = Layout(groups=("returns", "returns", "volume"), transforms=("zscore",), names=("a", "b", "c"))
CALL_NS = 3000.0
SINKS = ("out", "sink", "first", "second")


def chain(**settings: object) -> SearchSpace:
    """A small one, in which nothing is left out across layers."""
    given = {
        "depths": (1, 2), "ops": ("dense", "conv3", "separable3"), "widths": (8, 16), "activations": ("relu", "gelu"),
        "norms": ("none", "layer"), "dropouts": (0.0,), "lookbacks": (3, 6),
    } | settings  # fmt: skip
    return Chain(**given).space()  # type: ignore[arg-type]


def cells(**settings: object) -> SearchSpace:
    given = {"cells": (1, 2), "nodes": 2, "ops": ("zero", "conv3", "dense"), "widths": (8,), "lookbacks": (4,)}
    return Cell(**(given | settings)).space()  # type: ignore[arg-type]


def network(space: SearchSpace) -> Network:
    return Network(space, LAYOUT)


class Clock:
    """Nanoseconds that calls move."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def step_ns(step: Step, rows: int, program: Program) -> float:
    """More for each step, row and product: a straight line in the rows.  An input costs what a sink of it does."""
    if isinstance(step, Input):
        return 5.0 * (rows * step.channels - 1)
    if step.name in SINKS and isinstance(step, Taps):
        return 5.0 * ((max(step.at) + 1) * program.channels[step.reads[0]] - 1)
    each = {Taps: 200.0, LayerNorm: 400.0, Pick: 90.0}.get(type(step), 130.0)
    return each + rows * (7.0 + 3.0 * step.channels + 0.9 * step.macs(program.channels))


class FakeRuntime(ProgramRuntime):
    """Times of programs are sums of times of their steps, plus that of a call.

    Args:
        clock: that calls move.
        slow: by how much the machine is slower at a time.
        whole: time of a whole network from the sum of its steps and the number of its parts, call included.
        noise: factor of each call of a whole network, by how often it was called before.
        stream: as of the class.
    """

    name = "onnxruntime"

    def __init__(
        self,
        clock: Clock,
        *,
        slow: Callable[[int], float] = lambda now: 1.0,
        whole: Callable[[float, int], float] = lambda total, parts: CALL_NS + total,
        noise: Callable[[int], float] = lambda calls: 1.0,
        stream: bool = False,
    ) -> None:
        super().__init__(stream=stream)
        self.clock, self.slow, self.whole, self.noise = clock, slow, whole, noise
        self.built = 0

    def total(self, program: Program) -> float:
        rows = {s.name: 1 for s in program.steps} if self.stream else program.rows()
        return sum(step_ns(s, rows[s.name], program) for s in program.steps)

    def build(self, programs: Sequence[Program]) -> list[Call]:
        self.built += len(programs)
        return [self._call(CALL_NS + self.total(program)) for program in programs]

    def nets(self, networks: Sequence[Network]) -> list[Call]:
        totals = [(self.total(program_of(n)), len(self.parts(n))) for n in networks]
        return [self._call(self.whole(*each), self.noise) for each in totals]

    def _call(self, ns: float, noise: Callable[[int], float] = lambda calls: 1.0) -> Call:
        calls = 0

        def call() -> None:
            nonlocal calls
            self.clock.now += round(1000 * ns * self.slow(self.clock.now) * noise(calls))
            calls += 1

        return call


class FakeWoven(FakeRuntime):
    """The same with ops as one part, parts between neighbours, and inputs that lie in blocks of two."""

    woven = True

    def lies(self, channels: int) -> str:
        return f"{-(-channels // 2)} blocks"
