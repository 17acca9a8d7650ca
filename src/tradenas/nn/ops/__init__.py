"""The operation vocabulary."""

from tradenas.nn.ops.base import OPS, Op
from tradenas.nn.ops.conv import Conv3, Conv5, Dilated3, Separable3, Separable5
from tradenas.nn.ops.dense import Dense, Gated, Residual
from tradenas.nn.ops.free import Skip
from tradenas.nn.ops.recurrent import GRU, LSTM

__all__ = [
    "GRU", "LSTM", "OPS", "Conv3", "Conv5", "Dense", "Dilated3", "Gated", "Op", "Residual", "Separable3", "Separable5",
    "Skip",
]  # fmt: skip
