"""The operation vocabulary."""

from tradenas.nn.ops.attention import Attention
from tradenas.nn.ops.base import OPS, Op
from tradenas.nn.ops.conv import Conv3, Conv5, Dilated3, Separable3, Separable5
from tradenas.nn.ops.correlation import Correlation
from tradenas.nn.ops.cross_asset import CrossAsset, Market, Relative, build_op
from tradenas.nn.ops.cross_attention import CrossAttention
from tradenas.nn.ops.dense import Dense, Gated, Residual
from tradenas.nn.ops.filters import EMA4, EMA12, EMA26, Difference, Difference5, Max5, Mean5
from tradenas.nn.ops.free import Skip, Zero
from tradenas.nn.ops.leader import Lead, Leader
from tradenas.nn.ops.mingru import MinGRU, MinGRU4, MinGRU8
from tradenas.nn.ops.recurrent import GRU, LSTM

__all__ = [
    "EMA4", "EMA12", "EMA26", "GRU", "LSTM", "OPS", "Attention", "Conv3", "Conv5", "Correlation", "CrossAsset",
    "CrossAttention", "Dense", "Difference", "Difference5", "Dilated3", "Gated", "Lead", "Leader", "Market", "Max5",
    "Mean5", "MinGRU", "MinGRU4", "MinGRU8", "Op", "Relative", "Residual", "Separable3", "Separable5", "Skip", "Zero",
    "build_op",
]  # fmt: skip
