"""Where programs are run to be timed: ONNX Runtime and C.  What torch runs as it is lies in `eager`, CUDA in `cuda`."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from tradenas.cost.latency.machine import cpu_model, versions
from tradenas.cost.latency.parts import Part, Placed, cut, form_of
from tradenas.cost.latency.samples import Sample, filled, probe_program, recipe, sample_program
from tradenas.cost.latency.timing import Call
from tradenas.errors import ConfigError
from tradenas.formats.lower import lower
from tradenas.formats.program import Pick, Program
from tradenas.formats.simplify import simplify
from tradenas.nn import Network, Op
from tradenas.nn.mode import Moments
from tradenas.nn.slot import Layer
from tradenas.registry import Registry
from tradenas.seeds import rng_for

__all__ = ["RUNTIMES", "OnnxRuntime", "ProgramRuntime", "Runtime", "program_of", "still"]


class Runtime(abc.ABC):
    """What a table is measured with: it says which parts a network has there, and makes calls of parts and networks.

    Args:
        threads: that a call may use.
        batch: windows at once.
        precision: of numbers.
        stream: one row at a time.

    Raises:
        ConfigError: a precision, a batch or streaming that it has not.
    """

    name: ClassVar[str] = ""
    #: Packages whose versions change the times.
    packages: ClassVar[tuple[str, ...]] = ()
    precisions: ClassVar[tuple[str, ...]] = ("float32",)
    streams: ClassVar[bool] = True
    #: Whether every part runs on all rows of the window, whatever is read of it.
    whole_window: ClassVar[bool] = False
    #: Samples up to which no part is left out of a table, and rows that its kernels take at once (`plan.nodes`).
    most: ClassVar[int] = 1200
    block: ClassVar[int] = 16
    #: Widths of an input of which times are measured where there are too many.
    inputs: ClassVar[int] = 3
    #: Whether what stands beside a part changes its time: parts of chains are `woven` (`parts`).
    woven: ClassVar[bool] = False

    def __init__(
        self, *, threads: int = 1, batch: int = 1, precision: str = "float32", stream: bool = False
    ) -> None:  # fmt: skip
        if precision not in self.precisions:
            raise ConfigError(
                f"precision of {self.name}", got=precision, expected=f"one of {', '.join(self.precisions)}"
            )
        if stream and not self.streams:
            raise ConfigError(f"mode of {self.name}", got="stream", expected="window: it remembers nothing")
        self.threads, self.batch, self.precision, self.stream = threads, batch, precision, stream

    def versions(self) -> dict[str, str]:
        """What a table made with this depends on."""
        return versions(("tradenas", *self.packages))

    def processor(self) -> str:
        """What it runs on, by its own name."""
        return cpu_model()

    @abc.abstractmethod
    def parts(self, network: Network) -> list[Placed]:
        """The parts of a standalone network."""

    def unseen(self, network: Network) -> Iterable[Part]:  # noqa: ARG002
        """Parts that architectures can have although none of those that are looked at need have them."""
        return ()

    def lies(self, channels: int) -> str:  # noqa: ARG002
        """How so many channels lie in memory, where it matters: times are on a line between those that lie alike."""
        return ""

    @abc.abstractmethod
    def recipe(self, part: Part, rows: int) -> dict[Sample, float]:
        """What to time for the time of a part, and with which factors to add it up."""

    @abc.abstractmethod
    def samples(self, samples: Sequence[Sample]) -> list[Call]:
        """Calls of samples."""

    @abc.abstractmethod
    def nets(self, networks: Sequence[Network]) -> list[Call]:
        """Calls of whole standalone networks, each on one window (or on one more row)."""

    @abc.abstractmethod
    def probe(self) -> Call:
        """The unit, the same for all spaces."""


RUNTIMES: Registry[type[Runtime]] = Registry("runtime")


class _Still(dict[str, Any]):
    """Moments of any batch norm: they change numbers, not times."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> Any:
        import torch

        return torch.zeros(1), torch.ones(1)


def still() -> Moments:
    """See `_Still`."""
    return _Still()


def program_of(network: Network) -> Program:
    """The program of a standalone network as it leaves, with numbers for what is not learnt yet."""
    return simplify(filled(lower(network, still())))


class ProgramRuntime(Runtime):
    """Runs programs."""

    @abc.abstractmethod
    def build(self, programs: Sequence[Program]) -> list[Call]:
        """Calls of programs."""

    def parts(self, network: Network) -> list[Placed]:
        found = [self._laid(p) for p in cut(program_of(network), woven=self.woven and network.stack is None)]
        if not self.stream:
            return found
        return [Placed(p.part, 1, p.owner) for p in found if p.part.form != "trim"]

    def _laid(self, placed: Placed) -> Placed:
        """The front with how its input lies."""
        part = placed.part
        if not part.is_front or not (words := self.lies(part.c_in)):
            return placed
        return placed._replace(part=replace(part, form=f"{part.form}, in {words}"))

    def unseen(self, network: Network) -> Iterable[Part]:
        return _crops(network, woven=self.woven)

    def recipe(self, part: Part, rows: int) -> dict[Sample, float]:
        return recipe(part, rows, stream=self.stream)

    def samples(self, samples: Sequence[Sample]) -> list[Call]:
        return self.build([sample_program(s, stream=self.stream) for s in samples])

    def nets(self, networks: Sequence[Network]) -> list[Call]:
        return self.build([program_of(network) for network in networks])

    def probe(self) -> Call:
        return self.build([probe_program()])[0]


@RUNTIMES.register("onnxruntime")
class OnnxRuntime(ProgramRuntime):
    """ONNX Runtime with bound buffers, as an exported model is called (`tradenas.formats.runtime`)."""

    name = "onnxruntime"
    packages = ("onnxruntime", "onnx")

    def build(self, programs: Sequence[Program]) -> list[Call]:
        from tradenas.formats.onnx import to_onnx
        from tradenas.formats.runtime import Stream, Window, session

        made: list[Call] = []
        kind: Callable[..., Any] = Stream if self.stream else Window
        for k, program in enumerate(programs):
            model = to_onnx(program, batch=self.batch, streaming=self.stream)
            run = kind(session(model.SerializeToString(), threads=self.threads), batch=self.batch)
            run.x[...] = rng_for(k, "latency", "x").normal(size=run.x.shape).astype(np.float32)
            made.append(run)
        return made


def _crops(network: Network, *, woven: bool) -> Iterator[Part]:
    """Choices of channels, between all widths of a chain where layers that skip can stand in any order."""
    if network.stack is not None or not any(op.carries for layer in network.layers for op in _ops(layer)):
        return
    widths = {int(str(w)) for c in network.space.choices if c.name.endswith("/width") for w in c.options}
    inputs = {2 * network.inputs.features}
    for before, after in itertools.product(sorted(widths | inputs), sorted(widths)):
        if before != after:
            index = tuple(i if i < before else -1 for i in range(after))
            step = Pick(name="p", reads=("x",), channels=after, index=index)
            yield Part(form_of(step), before, after, 0, (step,), woven)


def _ops(layer: object) -> Iterable[Op]:
    assert isinstance(layer, Layer)
    return (layer.ops[str(o)] for o in layer.op.options)
