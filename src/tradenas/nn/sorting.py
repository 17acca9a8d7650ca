"""Channels in the order of their weight, so that the narrow prefix of a layer is the part that matters most.

Once-for-All (Cai et al. 2020, arXiv:1908.09791): before widths become elastic, the channels of each layer are sorted
by the L1 norm of the weights that read them.  Producers, norms and readers are permuted together, so at full width the
network computes what it computed before, and a narrower one keeps the channels that were read most.

The channels between two layers move as one, for all ops on both sides.  An op that carries its input through (`skip`,
`residual`) ties the channels behind its layer to those in front of it: tied layers get one order.  What is tied to the
inputs does not move at all, as features have their places: with `residual` on offer in the first layer that is the
first layer, and every layer tied to it.  Hidden units of an op move with its outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tradenas.errors import SpaceError
from tradenas.nn.network import Network
from tradenas.nn.ops import build_op
from tradenas.nn.slot import Layer

__all__ = ["sort_channels", "sorted_axes"]

#: Tensor name -> axis -> the channels in their new order.
Orders = dict[str, dict[int, Tensor]]


def sort_channels(network: Network, optimizer: torch.optim.Optimizer | None = None) -> list[int]:
    """Sorts channels in place, an optimiser's moments with them; returns the layers whose channels moved.

    At full widths the network's signal is the same to rounding; narrower paths change, which is what it is for.
    """
    orders, moved = sorted_axes(network)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name not in orders:
                continue
            tensors = [parameter, *(optimizer.state[parameter].values() if optimizer is not None else ())]
            for tensor in tensors:
                if isinstance(tensor, Tensor) and tensor.shape == parameter.shape:
                    tensor.copy_(_reordered(tensor, orders[name]))
    return moved


def sorted_axes(network: Network) -> tuple[Orders, list[int]]:
    """Which channels stand where once they are sorted, for every tensor with channels, and of which layers."""
    layers = [layer for layer in network.layers if isinstance(layer, Layer)]
    orders: Orders = {}
    moved = []
    for group in _groups(layers):
        weight_C = torch.stack([_read(network, layers, i) for i in group]).sum(0)
        order_C = torch.argsort(weight_C, descending=True, stable=True)
        moved += group
        for i in group:
            for name, axis in [*_written(layers, i), *_reading(network, layers, i)]:
                orders.setdefault(name, {})[axis] = order_C
    return orders, moved


def _reordered(tensor: Tensor, orders: dict[int, Tensor]) -> Tensor:
    for axis, order_C in orders.items():
        tensor = tensor.index_select(axis, order_C)
    return tensor


def _groups(layers: list[Layer]) -> list[list[int]]:
    """Layers whose outputs share one order; those that are tied to the inputs, or to another width, are left out."""
    groups: list[list[int]] = [[-1]]  # the inputs
    for i, layer in enumerate(layers):
        if any(op.carries for op in layer.ops.values()):
            groups[-1].append(i)
        else:
            groups.append([i])
    return [g for g in groups if g[0] >= 0 and len({layers[i].c_out for i in g}) == 1]


def _written(layers: list[Layer], i: int) -> list[tuple[str, int]]:
    """The axes that stand for the outputs of a layer."""
    layer = layers[i]
    ops = [(f"layers.{i}.ops.{o}.{n}", axis) for o in layer.ops for n, axis in _axes(o, layer, "out")]
    norms = [(f"layers.{i}.norms.{n}", 0) for n, _ in layer.norms.named_parameters()]  # type: ignore[attr-defined]
    return ops + norms


def _reading(network: Network, layers: list[Layer], i: int) -> list[tuple[str, int]]:
    """The axes that stand for the inputs of whatever reads a layer."""
    found = [(f"heads.{i + 1}.weight", 1)] if str(i + 1) in network.heads else []
    if i + 1 < len(layers):
        after = layers[i + 1]
        found += [(f"layers.{i + 1}.ops.{o}.{n}", axis) for o in after.ops for n, axis in _axes(o, after, "in")]
    return found


def _read(network: Network, layers: list[Layer], i: int) -> Tensor:
    """For each channel behind a layer the L1 norm of the weights that read it."""
    tensors = dict(network.named_parameters())
    total_C = torch.zeros(layers[i].c_out, device=tensors["inputs.taps"].device)
    for name, axis in _reading(network, layers, i):
        total_C += tensors[name].detach().abs().movedim(axis, 0).flatten(1).sum(1)
    return total_C


def _axes(op: str, layer: Layer, which: str) -> list[tuple[str, int]]:
    """The axes of an op's tensors that stand for its inputs or outputs: those that grow where it has one more."""
    built = layer.ops[op]
    wider = build_op(op, built.c_in + (which == "in"), built.c_out + (which == "out"), built.assets).state_dict()
    found = []
    for name, tensor in built.named_parameters():
        for axis, (n, m) in enumerate(zip(tensor.shape, wider[name].shape, strict=True)):
            if m - n > 1:
                raise SpaceError(
                    f"op {op}, {name}, axis {axis}", got="channels and something else", expected="channels alone",
                    fix="store its weights with an axis for each, such as (gates, out, in)",
                )  # fmt: skip
            if m > n:
                found.append((name, axis))
    return found
