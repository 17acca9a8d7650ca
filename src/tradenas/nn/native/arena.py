"""Memory of calls, kept for the next ones: what the system gives out anew has to be mapped page by page."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Arena"]

#: Memory kept for the next calls, at most; paths of a supernet are of all sizes, and each worker keeps its own.
KEPT_BYTES = 64 * 2**20

_free: dict[int, list[Tensor]] = {}
_held = 0


def rounded(floats: int) -> int:
    """The next of eight sizes an octave, so that what one path leaves is of use to another.

    >>> rounded(1000), rounded(1024), rounded(1025)
    (1024, 1024, 1152)
    """
    step = 1 << max(6, floats.bit_length() - 4)
    return -(-floats // step) * step


class Arena:
    """Memory of one call, given back for the next one when nobody needs it any more."""

    def __init__(self, floats: int) -> None:
        global _held  # noqa: PLW0603
        size = rounded(floats)
        waiting = _free.get(size)
        if waiting:
            self.memory = waiting.pop()
            _held -= 4 * size
        else:
            with torch.inference_mode(mode=False):
                self.memory = torch.empty(size)
        self.address = self.memory.data_ptr()

    def __del__(self) -> None:
        global _held  # noqa: PLW0603
        size = len(self.memory)
        if 4 * size > KEPT_BYTES:
            return
        if _held + 4 * size > KEPT_BYTES:  # what has lain here longest is of sizes that nobody asks for any more
            _free.clear()
            _held = 0
        _free.setdefault(size, []).append(self.memory)
        _held += 4 * size
