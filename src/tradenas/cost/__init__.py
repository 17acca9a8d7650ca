"""The price of an architecture, exact and in the mean over what a mixture draws."""

from tradenas.cost.additive import AdditiveCost, Multiplicities, Term
from tradenas.cost.budget import COSTS, Budget, Exponent
from tradenas.cost.cell_fit import CellFit
from tradenas.cost.chain_peak import peak_parts
from tradenas.cost.count import bit_operations, flops, macs, parameters, weight_bytes, window_macs
from tradenas.cost.extremes import cheapest, dearest
from tradenas.cost.maxima import LongestPath, Part, SmoothMax
from tradenas.cost.memory import PeakBytes, state_bytes
from tradenas.cost.nearest import nearest
from tradenas.cost.pricelist import PriceList, prices
from tradenas.cost.satisfiability import Satisfiability, satisfiability
from tradenas.cost.topology import Topology

__all__ = [
    "COSTS", "AdditiveCost", "Budget", "CellFit", "Exponent", "LongestPath", "Multiplicities", "Part", "PeakBytes",
    "PriceList", "Satisfiability", "SmoothMax", "Term", "Topology", "bit_operations", "cheapest", "dearest", "flops",
    "macs", "nearest", "parameters", "peak_parts", "prices", "satisfiability", "state_bytes", "weight_bytes",
    "window_macs",
]  # fmt: skip
