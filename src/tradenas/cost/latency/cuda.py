"""Kernels of a CUDA device without the host: copies of a call captured in one graph.

Small networks are bound by launches, so a kernel is not timed by the clock of the host.  A graph of N calls is replayed
between two events, for two numbers of calls; what a replay costs by itself cancels:

    t = (t(N_2) - t(N_1)) / (N_2 - N_1)

This is the time of a network among others on a busy device (throughput of one stream), not the way from the host and
back; `Network` is called with `batch` windows.  Clocks of the device are left as they are; the card is written down.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from tradenas.cost.latency.eager import Eager
from tradenas.cost.latency.runtimes import RUNTIMES
from tradenas.cost.latency.timing import Call
from tradenas.errors import ConfigError
from tradenas.typing import FloatArray

__all__ = ["Cuda", "GraphTimer"]

#: Calls in the two graphs, and replays of each between two events.
FEW, MANY, REPLAYS = 5, 25, 4


@RUNTIMES.register("cuda")
class Cuda(Eager):
    """`Network.forward` as captured graphs.

    Raises:
        ConfigError: there is no CUDA device, or this torch knows none.
    """

    name = "cuda"

    def __init__(
        self, *, threads: int = 1, batch: int = 1, precision: str = "float32", stream: bool = False
    ) -> None:  # fmt: skip
        super().__init__(threads=threads, batch=batch, precision=precision, stream=stream)
        if not torch.cuda.is_available():
            raise ConfigError(
                "cuda", got=f"torch {torch.__version__} without a CUDA device", expected="one",
                fix="measure on a machine that has one, with a CUDA build of torch",
            )  # fmt: skip
        self.device = torch.device("cuda")

    def processor(self) -> str:
        return torch.cuda.get_device_name(self.device)

    def versions(self) -> dict[str, str]:
        return {**super().versions(), "cuda": str(torch.version.cuda)}

    def timed(self, run: Callable[[], object]) -> Call:
        return GraphTimer(run)


class GraphTimer:
    """Times a call by graphs of it.

    Args:
        run: launches kernels on the current stream, and allocates nothing that must outlive it.
    """

    def __init__(self, run: Callable[[], object]) -> None:
        self.run = run
        self._graphs: list[torch.cuda.CUDAGraph] = []

    def times_us(self, number: int) -> FloatArray:
        """Microseconds a call, so many times; each is the difference of two graphs."""
        if not self._graphs:
            self._graphs = [self._captured(FEW), self._captured(MANY)]
        found = np.empty(number)
        for k in range(number):
            few, many = (self._replayed(graph) for graph in self._graphs)
            found[k] = max(1e-3, (many - few) / (MANY - FEW))
        return found

    def _captured(self, calls: int) -> torch.cuda.CUDAGraph:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(3):
                self.run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(graph):
            for _ in range(calls):
                self.run()
        return graph

    def _replayed(self, graph: torch.cuda.CUDAGraph) -> float:
        """Microseconds of one replay, in the mean over some."""
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        graph.replay()
        begin.record()
        for _ in range(REPLAYS):
            graph.replay()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) * 1e3 / REPLAYS
