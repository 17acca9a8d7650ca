"""Runs a path of a chain of layers in compiled code, forward and backward, as one function of its weights.

Signals and gradients are those of the layers one by one, in another order of rounding.
"""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from tradenas.nn.activations import channel_draws
from tradenas.nn.mixture import Mixture
from tradenas.nn.mode import Mode
from tradenas.nn.native.arena import Arena
from tradenas.nn.native.build import available, library
from tradenas.nn.native.lower import Reader, lower
from tradenas.nn.native.plan import FIELDS, Plan
from tradenas.typing import IntArray

if TYPE_CHECKING:
    from tradenas.nn.network import Network

__all__ = ["Call", "call_of", "run_path"]

#: Plans kept for each network, the latest ones.
PLANS = 256
W, OUTSIDE, WN, BN = FIELDS["w"], FIELDS["outside"], FIELDS["wn"], FIELDS["bn"]
PLACES = {"w": (FIELDS["w"], FIELDS["wn"], 0), "bias": (FIELDS["bias"], FIELDS["bn"], 2)}


class _Known:
    """What is known of a network: how its paths are told apart, and the plans of the latest ones."""

    def __init__(self, network: Network) -> None:
        self.reader = Reader(network)
        self.plans: OrderedDict[tuple[Any, ...], Plan | None] = OrderedDict()


_known: WeakKeyDictionary[Network, _Known] = WeakKeyDictionary()


class Call:
    """One batch through one plan."""

    def __init__(
        self, plan: Plan, networks: int, given: dict[str, Tensor], factor_F: Tensor | None, mode: Mode
    ) -> None:
        self.plan, self.networks, self.given = plan, networks, [*given.values(), factor_F]
        self.table = plan.table.copy()
        for outside in plan.outside:
            x = given[outside.what]
            row = self.table[outside.step]
            first = x.shape[-2] - int(row[FIELDS["rows"]])
            strides = x.stride()
            row[OUTSIDE] = x.data_ptr() + 4 * first * strides[-2]
            row[FIELDS["og"]], row[FIELDS["os"]] = strides[-3], strides[-2]
            row[WN] = strides[0] if plan.stacked else 0
            if factor_F is not None:
                row[W] = factor_F.data_ptr()
        self.lead = given["block"].shape[:-2]
        self.blocks = -(-self.lead[-1] // plan.many)
        for draw in plan.draws if mode.draws else ():
            drawn = channel_draws(self.lead, draw.channels, mode, given["block"])
            self.table[draw.step, OUTSIDE] = drawn.data_ptr()
            self.given.append(drawn)
        self.arena = Arena(networks * self.blocks * plan.size + plan.spare)

        self.weights = [weight.now() for weight in plan.weights]

    @property
    def learns(self) -> bool:
        """Whether `pull` may write a gradient beside every weight: all are to learn, and nobody listens."""
        free = all(w.requires_grad and w.is_leaf and not w._backward_hooks for w in self.weights)
        return free and torch.is_grad_enabled()

    def forward(self) -> Tensor:
        """The signals, without a graph."""
        plan, table = self.plan, self.table
        for weight, tensor in zip(plan.weights, self.weights, strict=True):
            place, network, _ = PLACES[weight.place]
            table[weight.step, place] = tensor.data_ptr() + 4 * weight.begins
            table[weight.step, network] = tensor.stride(0) if plan.stacked else 0
        signal = torch.empty(*self.lead, plan.scored)
        memory = self.arena.address
        _library().tn_forward(
            _address(table), len(table), self.networks, self.lead[-1], plan.many, memory, plan.size,
            memory + 4 * self.networks * self.blocks * plan.size, signal.data_ptr(), plan.scored,
        )  # fmt: skip
        return signal

    def pull(self, g_signal: Tensor) -> None:
        """Adds to the gradient of every weight what a gradient of the signals makes of it."""
        grads = []
        for weight in self.weights:
            if weight.grad is None:
                weight.grad = torch.zeros(weight.shape)
            grads.append(weight.grad)
        self.backward(grads, g_signal)

    def backward(self, grads: Sequence[Tensor], g_signal: Tensor) -> None:
        """Adds the gradients of the weights to `grads`."""
        plan, to = self.plan, np.zeros((len(self.table), 4), np.int64)
        for weight, grad in zip(plan.weights, grads, strict=True):
            at = PLACES[weight.place][2]
            to[weight.step, at] = grad.data_ptr() + 4 * weight.begins
            to[weight.step, at + 1] = grad.stride(0) if plan.stacked else 0
        work = Arena(plan.size + plan.spare)
        memory, values = work.address, self.arena.address
        g_signal = g_signal.contiguous()
        _library().tn_backward(
            _address(self.table), len(self.table), self.networks, self.lead[-1], plan.many, values, plan.size,
            memory, memory + 4 * plan.size, g_signal.data_ptr(), plan.scored, _address(to),
        )  # fmt: skip


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: Call, *weights: Tensor) -> Tensor:
        ctx.call = call
        ctx.save_for_backward(*weights)
        return call.forward()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g_signal: Tensor) -> tuple[Tensor | None, ...]:
        grads = [torch.zeros(w.shape) for w in ctx.saved_tensors]
        ctx.call.backward(grads, g_signal)
        return None, *grads


def run_path(network: Network, x_BTF: Tensor, mixture: Mixture, mode: Mode) -> Tensor | None:
    """Signals of the scored rows, (B, scored) or (N, B, scored); None where PyTorch has to do it."""
    call = call_of(network, x_BTF, mixture, mode)
    if call is None:
        return None
    if torch.is_grad_enabled() and any(w.requires_grad for w in call.weights):
        signal: Tensor = _Run.apply(call, *call.weights)  # type: ignore[no-untyped-call]
        return signal
    return call.forward()


def call_of(network: Network, x_BTF: Tensor, mixture: Mixture, mode: Mode) -> Call | None:
    """A batch through the compiled form of a path; None where it has none.

    Args:
        network: whose mixture is one path, by indices.
        x_BTF: batch, on the CPU, with history for every scored row.
        mode: with `scored`.
    """
    if (
        not mode.scored
        or network.bf16
        or network.stack is not None
        or x_BTF.dtype is not torch.float32
        or x_BTF.device.type != "cpu"
        or x_BTF.requires_grad
        or x_BTF.stride(-1) != 1
        or mode.measured is not None
        or not available()
        or torch._C._are_functorch_transforms_active()
    ):
        return None
    taps = network.inputs.taps
    stacked = x_BTF.ndim == 4
    if taps.dtype is not torch.float32 or (taps.ndim == 3) != stacked or not network.exact:
        return None
    known = _known.get(network)
    if known is None:
        known = _known[network] = _Known(network)
    path, plans = known.reader.key(mixture), known.plans
    if path is None:
        return None
    kept, segments = mode.kept is not None, x_BTF.shape[-3]
    key = (path, segments, mode.scored, kept, stacked)
    if key not in plans:
        plans[key] = lower(network, path, segments=segments, scored=mode.scored, kept=kept, stacked=stacked)
        if len(plans) > PLANS:
            plans.popitem(last=False)
    plan = plans[key]
    if plan is None or x_BTF.shape[-2] < plan.needs:
        return None
    given = {"block": network.inputs.block(x_BTF, mixture)}
    factor_F = network.inputs.share_open(mixture)
    if given["block"].requires_grad or (factor_F is not None and factor_F.requires_grad):
        return None
    if mode.kept is not None:
        if "filtered" not in mode.kept:
            mode.kept["filtered"] = network.inputs.filtered(given["block"], mixture)
        given["filtered"] = mode.kept["filtered"]
        if given["filtered"].requires_grad or given["filtered"].stride(-1) != 1:
            return None
    return Call(plan, len(x_BTF) if stacked else 1, given, factor_F, mode)


def _address(table: IntArray) -> ctypes.c_void_p:
    return ctypes.c_void_p(table.ctypes.data)


_ready: Any = None


def _library() -> Any:
    global _ready  # noqa: PLW0603
    if _ready is None:
        _ready = library("path")
        whole, pointer = ctypes.c_int64, ctypes.c_void_p
        _ready.tn_forward.argtypes = [pointer, *[whole] * 4, pointer, whole, pointer, pointer, whole]
        _ready.tn_forward.restype = None
        _ready.tn_backward.argtypes = [
            pointer, *[whole] * 4, pointer, whole, pointer, pointer, pointer, whole, pointer,
        ]  # fmt: skip
        _ready.tn_backward.restype = None
    return _ready
