"""Memory of calls, kept for the next ones: what the system gives out anew has to be mapped page by page."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Arena"]

#: Memory kept for the next calls, at most.
KEPT_BYTES = 256 * 2**20

_free: dict[int, list[Tensor]] = {}
_held = 0


class Arena:
    """Memory of one call, given back for the next one when nobody needs it any more."""

    def __init__(self, floats: int) -> None:
        global _held  # noqa: PLW0603
        waiting = _free.get(floats)
        if waiting:
            self.memory = waiting.pop()
            _held -= 4 * floats
        else:
            with torch.inference_mode(mode=False):
                self.memory = torch.empty(floats)
        self.address = self.memory.data_ptr()

    def __del__(self) -> None:
        global _held  # noqa: PLW0603
        floats = len(self.memory)
        if _held + 4 * floats <= KEPT_BYTES:
            _free.setdefault(floats, []).append(self.memory)
            _held += 4 * floats
