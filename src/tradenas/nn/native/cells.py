"""Runs a network of cells whose mixed ops merge in compiled code: one call forward, one call backward.

Signals and gradients are those of the merged and of the unmerged form in PyTorch, in another order of rounding.
"""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from tradenas.errors import ConfigError
from tradenas.nn.activations import channel_dropout
from tradenas.nn.elastic import width_of
from tradenas.nn.mixture import Mixture, weighting
from tradenas.nn.mode import Mode
from tradenas.nn.native.arena import Arena
from tradenas.nn.native.build import compiled
from tradenas.nn.native.merged import Follow, tables
from tradenas.nn.native.tables import Tables
from tradenas.nn.slot import weighted_sum
from tradenas.nn.together import Pair
from tradenas.space import Choice, Option
from tradenas.typing import IntArray

if TYPE_CHECKING:
    from tradenas.nn.network import Network

__all__ = ["run_cells"]

#: Plans kept for each network: the latest ones.
PLANS = 32
OF_WEIGHTS, OF_ALPHAS = 1, 2
ROWS_OUTSIDE = 11
#: The weight of an op without an alternative.
_ALONE = torch.ones(1)

_plans: WeakKeyDictionary[Network, OrderedDict[tuple[Any, ...], Tables | None]] = WeakKeyDictionary()


class _Net(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in
                ("n", "values", "links", "terms", "list", "fixed", "params", "outside", "arena")]  # fmt: skip


class _Call:
    """One batch through one plan."""

    def __init__(self, plan: Tables, x_BTF: Tensor, masks: Sequence[Tensor]) -> None:
        self.plan, self.x_BTF, self.masks = plan, x_BTF, masks
        self.sizes, self.values = plan.sizes.copy(), plan.rows["values"]
        self.sizes[ROWS_OUTSIDE:] = x_BTF.shape[1], x_BTF.stride(1), x_BTF.stride(0)
        if masks:
            self.values = self.values.copy()
            self.values[plan.masks, 11] = 2 + len(plan.weights) + np.arange(len(masks))
        self.arena = Arena(plan.floats)

    def forward(self, given: Sequence[Tensor]) -> Tensor:
        rows = self.plan.rows
        self.params = np.array([t.data_ptr() for t in (*given, *self.masks)], np.uint64)
        self.net = _Net(
            self.sizes.ctypes.data, self.values.ctypes.data, rows["links"].ctypes.data, rows["terms"].ctypes.data,
            rows["list"].ctypes.data, self.plan.fixed.ctypes.data, self.params.ctypes.data, self.x_BTF.data_ptr(),
            self.arena.address,
        )  # fmt: skip
        signal_BS = torch.empty(self.plan.segments, self.plan.scored)
        _library().tn_cells_forward(ctypes.byref(self.net), signal_BS.data_ptr())
        return signal_BS

    def backward(self, given: Sequence[Tensor], g_BS: Tensor, want: int) -> Sequence[Tensor]:
        """The gradients of what was given; only the first, that of the mixture's weights, unless others are wanted."""
        flat, grads, wanted = _room(given, want)
        work, g_BS = Arena(self.plan.work), g_BS.contiguous()
        _library().tn_cells_backward(ctypes.byref(self.net), g_BS.data_ptr(), work.address, grads.ctypes.data, want)
        return _parted(flat, wanted)

    def along(
        self, given: Sequence[Tensor], g_BS: Tensor, direction: Sequence[Tensor | None], want: int
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """How the signals, and the gradients for given `g_BS`, change when what was given moves in a direction."""
        plan = self.plan
        still = torch.zeros(max((t.numel() for t, d in zip_longest(given, direction) if d is None), default=1))
        moves = [still if d is None else d.contiguous() for _, d in zip_longest(given, direction)]
        addresses = np.array([d.data_ptr() for d in moves], np.uint64)
        flat, grads, wanted = _room(given, want)
        work, g_BS, change_BS = Arena(plan.floats + 2 * plan.work), g_BS.contiguous(), torch.empty_like(g_BS)
        _library().tn_cells_along(
            ctypes.byref(self.net), addresses.ctypes.data, g_BS.data_ptr(), work.address, plan.floats,
            change_BS.data_ptr(), grads.ctypes.data, want,
        )  # fmt: skip
        return change_BS, _parted(flat, wanted)


def _room(given: Sequence[Tensor], want: int) -> tuple[Tensor, IntArray, Sequence[Tensor]]:
    """Zeros for the gradients of what was given, and where each begins; of the first only, where that is all."""
    wanted = given if want & OF_WEIGHTS else given[:1]
    sizes = [t.numel() for t in wanted]
    flat = torch.zeros(sum(sizes))
    return flat, flat.data_ptr() + 4 * np.cumsum([0, *sizes[:-1]]), wanted


def _parted(flat: Tensor, like: Sequence[Tensor]) -> Sequence[Tensor]:
    found: Sequence[Tensor] = torch._utils._unflatten_dense_tensors(flat, like)  # type: ignore[no-untyped-call]
    return found


class _Run(torch.autograd.Function):
    """The signal as a function of the mixture's weights, the taps and all parameters; twice differentiable."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *given: Tensor) -> Tensor:
        ctx.call = call
        ctx.save_for_backward(*given)
        return call.forward(given)

    @staticmethod
    def backward(ctx: Any, g_BS: Tensor) -> tuple[Tensor | None, ...]:
        needed, given = ctx.needs_input_grad[1:], ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *_Back.apply(ctx.call, needed, g_BS, *given)  # type: ignore[no-untyped-call]
        return None, *_wanted(ctx.call.backward(given, g_BS, _want(needed)), needed)


class _Back(torch.autograd.Function):
    """The gradients as a function of that of the signals and of what was given."""

    @staticmethod
    def forward(
        ctx: Any, call: _Call, needed: Sequence[bool], g_BS: Tensor, *given: Tensor
    ) -> tuple[Tensor | None, ...]:
        ctx.call = call
        ctx.save_for_backward(g_BS, *given)
        ctx.set_materialize_grads(False)
        return _wanted(call.backward(given, g_BS, _want(needed)), needed)

    @staticmethod
    def backward(ctx: Any, *direction: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise ConfigError(
                "a third derivative of cells",
                got="compiled code",
                expected="two derivatives",
                fix="run the forward pass within tradenas.nn.native.off()",
            )
        g_BS, *given = ctx.saved_tensors
        needed = ctx.needs_input_grad[3:]
        change_BS, found = ctx.call.along(given, g_BS, direction, _want(needed))
        return None, None, change_BS, *_wanted(found, needed)


def _want(needed: Sequence[bool]) -> int:
    return OF_ALPHAS * needed[0] + OF_WEIGHTS * any(needed[1:])


def _wanted(found: Sequence[Tensor], needed: Sequence[bool]) -> tuple[Tensor | None, ...]:
    return tuple(g if needs else None for g, needs in zip_longest(found, needed))


def run_cells(network: Network, x_BTF: Tensor, mixture: Mixture, mode: Mode) -> Tensor | None:
    """Signals of the scored rows, (B, scored); None where PyTorch has to do it.

    Args:
        network: of cells with `follow = "sum"`, under weights of ops.
        x_BTF: batch, on the CPU, with history for every scored row.
        mode: with `scored`.
    """
    stack = network.stack
    if (
        stack is None
        or not stack.summed
        or not mode.scored
        or x_BTF.dtype is not torch.float32
        or x_BTF.device.type != "cpu"
        or x_BTF.ndim != 3
        or network.inputs.taps.dtype is not torch.float32
        or network.inputs.taps.ndim != 2
        or not network.exact
        or mode.measured is not None
        or mode.kept is not None
        or compiled("cells") is None
        or torch._C._are_functorch_transforms_active()
    ):
        return None
    asked = [_one(c, mixture) for c in (network.depth, stack.width, network.inputs.lookback, *_followers(network))]
    if None in asked:
        return None
    depth, _, lookback, activation, norm, dropout = asked
    follow = Follow(norm=str(norm), activation=str(activation), dropout=float(str(dropout)))
    if follow.norm == "batch" and not (mode.training and not mode.present):
        return None
    weights = _weights(network, mixture, mode)
    if weights is None:
        return None
    live, alpha = weights
    taps, drops = int(str(lookback)), bool(follow.dropout) and mode.draws
    block_BTF = network.inputs.block(x_BTF, mixture)
    if network.inputs.share_open(mixture) is not None or block_BTF.requires_grad or block_BTF.stride(-1) != 1:
        return None
    key = (live, depth, asked[1], follow, taps, len(x_BTF), mode.scored, drops)
    plans = _plans.setdefault(network, OrderedDict())
    if key not in plans:
        width = width_of(stack.width, weighting(stack.width, mixture))
        assert isinstance(width, int)
        plans[key] = tables(
            network,
            live,
            int(str(depth)),
            width,
            follow,
            taps=taps,
            segments=len(x_BTF),
            scored=mode.scored,
            drops=drops,
        )
        if len(plans) > PLANS:
            plans.popitem(last=False)
    plan = plans[key]
    if plan is None or block_BTF.shape[1] < plan.needs:
        return None
    ones = [torch.ones(len(x_BTF), 1, int(plan.rows["values"][v, 1])) for v in plan.masks]
    call = _Call(plan, block_BTF, [channel_dropout(one, follow.dropout, mode) for one in ones])
    given = [alpha, network.inputs.taps[:, :taps], *[owner[name] for owner, name in plan.weights]]
    given = [t if t.is_contiguous() else t.contiguous() for t in given]
    signal_BS: Tensor = _Run.apply(call, *given)  # type: ignore[no-untyped-call]
    return signal_BS


def _followers(network: Network) -> list[Choice]:
    return [network.space[f"cell/{what}"] for what in ("activation", "norm", "dropout")]


def _one(choice: Choice, mixture: Mixture) -> Option | None:
    """The option that a mixture picks; None under weights."""
    which = weighting(choice, mixture)
    return choice.options[which] if isinstance(which, int) else None


def _weights(network: Network, mixture: Mixture, mode: Mode) -> tuple[tuple[Pair, ...], Tensor] | None:
    """The edges that are open, and the weights of their ops end to end; None where an edge does not merge."""
    stack = network.stack
    assert stack is not None
    each: list[Tensor] = []
    live = stack.live(mixture, unread=mode.open)
    some = stack.cell(int(next(iter(stack.bodies)))) if live else None
    for pair, share in live.items():
        assert some is not None
        layer, which = some.layer(pair), weighting(stack.ops[pair], mixture)
        if not isinstance(which, Tensor) and len(stack.ops[pair].options) == 1:
            which = _ALONE
        if not isinstance(which, Tensor) or layer.mix is not weighted_sum or layer.merge is None or layer.merge.rest:
            return None
        each.append(which if share is None else which * share)
    return (tuple(live), torch.cat(each)) if each else None


_ready: Any = None


def _library() -> Any:
    global _ready  # noqa: PLW0603
    if _ready is None:
        _ready = compiled("cells")
        pointer = ctypes.c_void_p
        _ready.tn_cells_forward.argtypes, _ready.tn_cells_forward.restype = [pointer, pointer], None
        _ready.tn_cells_backward.argtypes = [pointer, pointer, pointer, pointer, ctypes.c_int64]
        _ready.tn_cells_backward.restype = None
        whole = ctypes.c_int64
        _ready.tn_cells_along.argtypes = [pointer] * 4 + [whole, pointer, pointer, whole]
        _ready.tn_cells_along.restype = None
    return _ready
