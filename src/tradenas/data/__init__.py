"""Source -> validated candles, or which row is wrong."""

from __future__ import annotations

from tradenas.data.candles import Candles

__all__ = ["Candles"]
