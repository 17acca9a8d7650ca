"""What moves weights, in compiled code: `moves.c` as Python calls it."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from tradenas.nn.native.build import compiled

__all__ = ["moves", "plain"]


def moves() -> Any:
    """`tn_norm`, `tn_scale`, `tn_adamw` and `tn_shrink`; None where PyTorch has to do it."""
    found = compiled("moves")
    if found is not None and found.tn_norm.restype is not ctypes.c_double:
        pointer, whole, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
        found.tn_norm.argtypes, found.tn_norm.restype = [pointer, whole], real
        found.tn_scale.argtypes, found.tn_scale.restype = [pointer, whole, real], None
        found.tn_adamw.argtypes, found.tn_adamw.restype = [pointer, whole, *[real] * 4], None
        found.tn_norms.argtypes, found.tn_norms.restype = [pointer, whole, whole, pointer], None
        found.tn_adamw_each.argtypes = [pointer, whole, whole, pointer, pointer, pointer, *[real] * 4]
        found.tn_adamw_each.restype = None
        found.tn_shrink.argtypes, found.tn_shrink.restype = [pointer, pointer, whole, real], None
    return found


def plain(*tensors: Tensor | None) -> bool:
    """Whether these are single floats of one network, one behind the other, in the machine's own memory."""
    return all(t is not None and t.dtype is torch.float32 and not t.is_cuda and t.is_contiguous() for t in tensors)
