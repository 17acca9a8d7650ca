"""The operation vocabulary."""

from tradenas.nn.ops.attention import Attention
from tradenas.nn.ops.base import OPS, Op
from tradenas.nn.ops.conv import Conv3, Conv5, Dilated3, Separable3, Separable5
from tradenas.nn.ops.dense import Dense, Gated, Residual
from tradenas.nn.ops.filters import EMA4, EMA12, EMA26, Difference, Difference5, Max5, Mean5
from tradenas.nn.ops.free import Skip, Zero
from tradenas.nn.ops.recurrent import GRU, LSTM

__all__ = [
    "EMA4", "EMA12", "EMA26", "GRU", "LSTM", "OPS", "Attention", "Conv3", "Conv5", "Dense", "Difference", "Difference5",
    "Dilated3", "Gated", "Max5", "Mean5", "Op", "Residual", "Separable3", "Separable5", "Skip", "Zero",
]  # fmt: skip
