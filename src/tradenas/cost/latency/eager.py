"""PyTorch as it is: every module of a standalone network on a whole window, called again as it was called there.

A part is a module that the network calls: the inputs, a layer (or an edge of a cell) with what follows it, the map that
reads earlier cells, what follows a node, the head.  What Python does between them is the constant and the share of each
part in the fit.  All rows of the window are run, whatever is read of them, as `Network.forward` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tradenas.cost.latency.parts import Part, Placed
from tradenas.cost.latency.runtimes import RUNTIMES, Runtime, still
from tradenas.cost.latency.samples import Sample
from tradenas.cost.latency.timing import Call
from tradenas.nn import Network
from tradenas.nn.elastic import ElasticLinear
from tradenas.nn.inputs import Inputs
from tradenas.nn.mode import Mode
from tradenas.nn.reading import Reading
from tradenas.nn.slot import After, Layer

__all__ = ["Eager"]

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@RUNTIMES.register("eager")
class Eager(Runtime):
    """`Network.forward` under `inference_mode`."""

    name = "eager"
    packages = ("torch",)
    precisions = tuple(PRECISIONS)
    streams = False
    whole_window = True
    block = 0

    def __init__(
        self, *, threads: int = 1, batch: int = 1, precision: str = "float32", stream: bool = False
    ) -> None:  # fmt: skip
        super().__init__(threads=threads, batch=batch, precision=precision, stream=stream)
        self.device, self.dtype = torch.device("cpu"), PRECISIONS[precision]
        self.mode = Mode(moments=still())
        #: How a part was called: its module and what it was given.
        self._seen: dict[tuple[str, int, int], tuple[nn.Module, tuple[Any, ...], dict[str, Any]]] = {}

    def timed(self, run: Callable[[], object]) -> Call:
        """What times a function of torch here."""

        def call() -> None:
            with torch.inference_mode():
                run()

        return call

    def parts(self, network: Network) -> list[Placed]:
        network, found = self._there(network), list[Placed]()

        def seen(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], y: Any) -> None:
            told = _described(module, names)
            x = next(_tensors((args, kwargs)), None)
            if told is None or x is None:
                return
            c_in = sum(int(t.shape[-1]) for t in _tensors((args, kwargs)) if t.ndim == 3)
            part = Part(told[0], c_in, int(y.shape[-1]))
            self._seen.setdefault(part.key, (module, args, kwargs))
            found.append(Placed(part, int(x.shape[-2]), told[1]))

        names = {module: name for name, module in network.named_modules()}
        inside = {m for outer in network.modules() if isinstance(outer, Layer | Reading) for m in outer.modules()}
        hooks = [
            m.register_forward_hook(seen, with_kwargs=True)
            for m in network.modules()
            if isinstance(m, Inputs | Layer | Reading) or (isinstance(m, After | ElasticLinear) and m not in inside)
        ]
        try:
            with torch.inference_mode():
                network(self._window(network), None, self.mode)
        finally:
            for hook in hooks:
                hook.remove()
        return found

    def recipe(self, part: Part, rows: int) -> dict[Sample, float]:
        return {Sample("part", part, rows): 1.0}

    def samples(self, samples: Sequence[Sample]) -> list[Call]:
        torch.set_num_threads(self.threads)
        calls = []
        for sample in samples:
            module, args, kwargs = self._seen[sample.part.key]
            calls.append(self.timed(_again(module, *_resized((args, kwargs), sample.rows))))
        return calls

    def nets(self, networks: Sequence[Network]) -> list[Call]:
        torch.set_num_threads(self.threads)
        there = [self._there(network) for network in networks]
        return [self.timed(_again(net, (self._window(net), None, self.mode), {})) for net in there]

    def probe(self) -> Call:
        """Three products of 16 channels on 32 rows, and a map to one: never changed."""
        layers: list[nn.Module] = [m for _ in range(3) for m in (nn.Linear(16, 16), nn.ReLU())]
        net = nn.Sequential(*layers, nn.Linear(16, 1)).to(self.device, self.dtype)
        return self.timed(_again(net, (torch.ones(self.batch, 32, 16, device=self.device, dtype=self.dtype),), {}))

    def _there(self, network: Network) -> Network:
        return network.to(self.device, self.dtype).eval()

    def _window(self, network: Network) -> Tensor:
        columns = len(network.layout.groups) * len(network.layout.transforms)
        rows = network.reach(network.space.smallest())
        shape = (self.batch * network.layout.assets, rows, columns)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.device, self.dtype)


def _described(module: nn.Module, names: dict[nn.Module, str]) -> tuple[str, str] | None:
    """The form of a module, and whose it is in the network."""
    if isinstance(module, Inputs):
        return f"front inputs {module.lookback.options[0]}", "inputs"
    if isinstance(module, Layer):
        op = str(module.op.options[0])
        after = [str(c.options[0]) for what, c in module.after.items() if what != "dropout" and module.has(what, op)]
        op = " ".join(map(str, module.op.options)) if module.op.take > 1 else op
        return " > ".join([op, *(a for a in after if a != "none")]), f"{module.name}/{op}"
    if isinstance(module, Reading):
        return f"reading {len(module.parts)}", "head" if names[module].startswith("heads") else "cell/read"
    if isinstance(module, After):
        return " ".join(["node", *(str(c.options[0]) for c in module.after.values())]), "cell/node"
    return "dense", "head" if names[module].startswith("heads") else "stem"


def _tensors(found: Any) -> Any:
    """Batches of rows among arguments."""
    if isinstance(found, Tensor) and found.ndim == 3:
        yield found
    elif isinstance(found, dict | tuple | list):
        for inner in found.values() if isinstance(found, dict) else found:
            yield from _tensors(inner)


def _resized(found: Any, rows: int) -> Any:
    """The same arguments with so many rows in each batch."""
    if isinstance(found, Tensor) and found.ndim == 3:
        return torch.randn(found.shape[0], rows, found.shape[2]).to(found.device, found.dtype)
    if isinstance(found, dict) and any(True for _ in _tensors(found)):
        return {k: _resized(v, rows) for k, v in found.items()}
    return tuple(_resized(v, rows) for v in found) if type(found) is tuple else found


def _again(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], object]:
    return lambda: module(*args, **kwargs)
