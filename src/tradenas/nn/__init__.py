"""A network under a mixture of the choices."""

from tradenas.nn.borrowed import weighing
from tradenas.nn.elastic import Count
from tradenas.nn.inputs import Layout
from tradenas.nn.mixture import Mixture, hard, soft
from tradenas.nn.mode import EVAL, Kept, Mode, Moments
from tradenas.nn.network import Network
from tradenas.nn.ops import OPS, Op

__all__ = [
    "EVAL",
    "OPS",
    "Count",
    "Kept",
    "Layout",
    "Mixture",
    "Mode",
    "Moments",
    "Network",
    "Op",
    "hard",
    "soft",
    "weighing",
]
