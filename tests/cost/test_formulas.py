"""The formulas of the hardware chapter, in one dimension: two FLOPs a multiply-accumulate, T rows instead of H x W."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cost.networks import chain
from tradenas.cost.count import flops, parameters, weight_bytes
from tradenas.cost.memory import PeakBytes
from tradenas.nn import OPS
from tradenas.nn.ops.attention import WINDOW

torch.set_num_threads(1)

C, D, T = 6, 8, 32


def per_row(name: str) -> int:
    return 2 * OPS[name](C, D).count(C, D).macs  # type: ignore[call-arg]


def test_convolution() -> None:
    for name, k in (("conv3", 3), ("conv5", 5), ("dilated3", 3)):
        assert T * per_row(name) == 2 * T * k * C * D


def test_depthwise_and_separable() -> None:
    for name, k in (("separable3", 3), ("separable5", 5)):
        depthwise = 2 * T * k * C
        assert T * per_row(name) == depthwise + 2 * T * C * D
        assert T * per_row(name) < 2 * T * k * C * D  # what it is for


def test_dense() -> None:
    assert per_row("dense") == 2 * C * D


def test_attention() -> None:
    """The chapter's 4 n^2 d + 2 n d^2 has the products of rows, and one map of the channels where there are three.

    With the map behind them four: 4 n^2 d + 8 n d^2, which torch's own counter confirms of torch's own module.
    """
    n = WINDOW
    op = OPS["attention"](D, D)  # type: ignore[call-arg]
    assert 2 * n * op.count(D, D).macs == 4 * n * n * D + 3 * 2 * n * D * D
    module = nn.MultiheadAttention(D, 1, batch_first=True).to("meta")
    x = torch.empty(1, n, D, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x, x, x, need_weights=False)
    assert counter.get_total_flops() == 4 * n * n * D + 4 * 2 * n * D * D


def test_memory() -> None:
    """Parameters times bytes, and for a chain of convolutions max_i (size(x_i) + size(x_{i+1})) times bytes.

    The filters' signal waits beside the layers: one number more.
    """
    network = chain(depths=(3,), ops=("conv3",), widths=(2, 5), norms=("none",), lookbacks=(2,))
    features, rows = 3, 20
    for k, architecture in enumerate(network.space):
        weights = sum(p.numel() for p in network.standalone(architecture, seed=k).parameters())
        for precision, size in (("float32", 4), ("float16", 2), ("int8", 1)):
            assert weight_bytes(network, precision).exact(architecture) == weights * size
            assert parameters(network).exact(architecture) == weights
            sizes = [2 * features, *(int(str(architecture[f"layer{i}/width"])) for i in range(3)), 1]
            most = max(a + b for a, b in itertools.pairwise(sizes)) + 1
            assert PeakBytes(network, precision, rows=rows).exact(architecture) == most * size * rows


def test_the_smallest_network_by_hand() -> None:
    """Two taps on each of 3 inputs, dense 6 to 2, head 2 to 1."""
    network = chain(depths=(1,), ops=("dense",), widths=(2,), norms=("none",), lookbacks=(2,))
    only = network.space.smallest()
    assert flops(network).exact(only) == 2 * (3 * 2 + 6 * 2 + 2)
    assert parameters(network).exact(only) == 3 * 2 + (6 * 2 + 2) + (2 + 1)
    assert PeakBytes(network).exact(only) == pytest.approx(4 * (6 + 2 + 1))
