"""Dense layers and convolutions in bf16 where this CPU is measured to be faster so, shape by shape.

bf16 keeps the exponent of float32 and 8 bits of its digits.  A layer casts its input and its weights, multiplies in
bf16 (sums are float32 inside the product), and casts back; weights, optimiser, norms, activations and losses stay
float32.  Casts cost as much as small products gain, and compiled float32 (`tradenas.nn.native`) does without the calls,
so a switch would be wrong: a table says for each op, width and number of rows what was measured on this machine,
against the float32 that would run otherwise (docs/results/speed.md).

The table is made once for a CPU and the versions of torch and tradenas, and kept in the user's cache folder; all
processes read that one file, so that they compute alike.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tradenas import loader
from tradenas.atomic import canonical_json, read_json, write_json
from tradenas.errors import FolderError
from tradenas.machine import cpu_model

__all__ = ["GAIN", "HalfTable", "Product", "conv", "half_table", "linear", "measure"]

FORMAT = "tradenas bf16 table 1"
#: What is measured; between two of them the smaller one speaks, and below the smallest nothing is gained.
OPS, WIDTHS, ROWS = ("dense", "conv3"), (32, 64, 128, 256), (256, 1024, 4096)
#: How many times as fast a network must be, that it is worth other digits; what layers below what is measured gain.
GAIN, SMALL = 1.15, 0.5
SEGMENTS, SHORTEST_S = 8, 4e-3


class Product(NamedTuple):
    """The matrices of a layer that multiplies: `c_in * c_out * taps` multiplications a row."""

    c_in: int
    c_out: int
    taps: int


@dataclass(frozen=True, kw_only=True)
class HalfTable:
    """How many times as fast layers are in bf16, casts counted, forward and backward.

    Attributes:
        gains: by op (`dense`, `conv3`), width of input and output, and rows.
        machine: what it holds for: the CPU, versions, whether float32 is compiled, threads.
    """

    gains: Mapping[tuple[str, int, int], float]
    machine: Mapping[str, str]

    def gain(self, product: Product, rows: int) -> float:
        """Of one layer over so many rows; the next smaller shape speaks for it.

        >>> table = HalfTable(gains={("dense", 64, 1024): 1.5, ("conv3", 64, 1024): 2.0}, machine={})
        >>> [table.gain(Product(*shape), 2000) for shape in ((64, 99, 1), (99, 64, 5), (63, 99, 1))]
        [1.5, 2.0, 0.5]
        """
        op, width = "dense" if product.taps < 3 else "conv3", min(product.c_in, product.c_out)
        below = [(w, r) for o, w, r in self.gains if o == op and w <= width and r <= rows]
        return self.gains[op, *max(below)] if below else SMALL

    def worth(self, products: Sequence[Product], rows: int) -> bool:
        """Whether a network gains by it: its layers take their shares of the time by their multiplications.

        >>> table = HalfTable(gains={("dense", 64, 1024): 1.5}, machine={})
        >>> table.worth([Product(64, 64, 1), Product(64, 1, 1)], 1024), table.worth([Product(64, 64, 1)] * 2, 1000)
        (True, False)
        """
        macs = [p.c_in * p.c_out * p.taps for p in products]
        took = sum(n / self.gain(p, rows) for n, p in zip(macs, products, strict=True))
        return sum(macs) >= GAIN * took

    @property
    def digest(self) -> str:
        """Eight hex digits of what it decides."""
        return hashlib.sha256(canonical_json(self._plain()["gains"]).encode()).hexdigest()[:8]

    def save(self, path: Path) -> None:
        """Writes it as JSON, whole or not at all."""
        write_json(path, self._plain())

    @classmethod
    def load(cls, path: Path) -> HalfTable:
        """Reads what `save` wrote.

        Raises:
            FolderError: no such file, or another one.
        """
        plain = read_json(path)
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise FolderError(str(path), got="another file", expected=FORMAT, fix="remove it: it is made again")
        gains = {(str(op), int(width), int(rows)): float(gain) for op, width, rows, gain in plain["gains"]}
        return cls(gains=gains, machine=plain["machine"])

    def _plain(self) -> dict[str, Any]:
        gains = [[*shape, round(gain, 3)] for shape, gain in sorted(self.gains.items())]
        return {**asdict(self), "format": FORMAT, "gains": gains}


@cache
def half_table(threads: int = 1) -> HalfTable:
    """The table of this machine; measured where there is none yet, which takes some seconds.

    Args:
        threads: of a training.
    """
    from tradenas.nn.native import available

    machine = {
        "cpu": cpu_model(),
        "torch": torch.__version__,
        "tradenas": importlib.metadata.version("tradenas"),
        "compiled": str(available()),
        "threads": str(threads),
    }
    folder = loader.cache().with_name("bf16")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(canonical_json(machine).encode()).hexdigest()[:12]}.json"
    if not path.exists():
        own = path.with_suffix(f".{os.getpid()}")
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        HalfTable(gains=measure(), machine=machine).save(own)
        torch.set_num_threads(before)
        with suppress(FileExistsError):  # another process was first: all go by its table
            path.hardlink_to(own)
        own.unlink()
    return HalfTable.load(path)


def linear(x_BTC: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A dense layer with bf16 products; float32 in and out."""
    bf16 = torch.bfloat16
    return F.linear(x_BTC.to(bf16), weight.to(bf16), None if bias is None else bias.to(bf16)).float()


def conv(x_BTC: Tensor, weight: Tensor, bias: Tensor | None, *, dilation: int = 1) -> Tensor:
    """A causal convolution with bf16 products, weights (O, I, 1, taps); float32 in and out."""
    bf16, reach = torch.bfloat16, (weight.shape[-1] - 1) * dilation
    x_BC1T = F.pad(x_BTC.to(bf16), (0, 0, reach, 0)).transpose(1, 2).unsqueeze(2)
    kernel = weight.to(bf16).contiguous(memory_format=torch.channels_last)
    shift = None if bias is None else bias.to(bf16)
    return F.conv2d(x_BC1T, kernel, shift, dilation=(1, dilation)).squeeze(2).transpose(1, 2).float()


def measure(rounds: int = 5) -> dict[tuple[str, int, int], float]:
    """Times networks of two such layers, forward and backward, in float32 and in bf16 in turns, for every shape."""
    return {(op, width, rows): _gain(op, width, rows, rounds) for op in OPS for width in WIDTHS for rows in ROWS}


def _gain(op: str, width: int, rows: int, rounds: int) -> float:
    from tradenas.nn import Layout, Mode, Network
    from tradenas.space import Chain

    space = Chain(
        depths=(2,), ops=(op,), widths=(width,), activations=("relu",), norms=("none",), dropouts=(0.0,), lookbacks=(5,)
    ).space()
    network = Network(space, Layout(groups=("x",) * (width // 2), transforms=("zscore",)))
    scored = rows // SEGMENTS
    x_BTF = torch.randn(SEGMENTS, scored + 9, width // 2, generator=torch.Generator().manual_seed(0))
    always = HalfTable(gains={("dense", 1, 1): 2 * GAIN, ("conv3", 1, 1): 2 * GAIN}, machine={})

    def step(table: HalfTable | None) -> None:
        network.halve(table, rows=rows)
        network(x_BTF, {}, Mode(training=True, scored=scored)).sum().backward()

    once = max(_cpu(step, table, 2) / 2 for table in (None, always))  # warms up, too
    repeats = max(1, round(SHORTEST_S / max(once, 1e-6)))
    return statistics.median(_cpu(step, None, repeats) / _cpu(step, always, repeats) for _ in range(rounds))


def _cpu(step: Callable[[HalfTable | None], None], table: HalfTable | None, repeats: int) -> float:
    began = time.process_time()
    for _ in range(repeats):
        step(table)
    return time.process_time() - began
