"""The price of an architecture, exact and in the mean over what a mixture draws."""

from tradenas.cost.additive import AdditiveCost, Multiplicities, Term
from tradenas.cost.count import flops, macs, parameters, weight_bytes, window_macs
from tradenas.cost.topology import Topology

__all__ = [
    "AdditiveCost", "Multiplicities", "Term", "Topology", "flops", "macs", "parameters", "weight_bytes", "window_macs",
]  # fmt: skip
