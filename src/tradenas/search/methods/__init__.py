"""Search methods, one file each, and the finders that one-shot methods look with."""

from tradenas.search.methods.compound import Compound
from tradenas.search.methods.darts import DARTS
from tradenas.search.methods.darts_minus import DARTSMinus
from tradenas.search.methods.dartsplus import DARTSPlus
from tradenas.search.methods.enas import ENAS
from tradenas.search.methods.fairdarts import FairDARTS
from tradenas.search.methods.fairnas import FairNAS
from tradenas.search.methods.fbnet import FBNet
from tradenas.search.methods.gdas import GDAS
from tradenas.search.methods.mnasnet import MnasNet
from tradenas.search.methods.once_for_all import OnceForAll
from tradenas.search.methods.path_dropout import PathDropout
from tradenas.search.methods.pcdarts import PCDARTS
from tradenas.search.methods.pdarts import PDARTS
from tradenas.search.methods.progressive import Progressive
from tradenas.search.methods.random_search import RandomSearch
from tradenas.search.methods.robust_darts import RobustDARTS
from tradenas.search.methods.sandwich import Sandwich
from tradenas.search.methods.spos import SPOS
from tradenas.search.methods.zero_cost import ZeroCost
from tradenas.search.parts import aging as _aging  # noqa: F401  (finders register themselves)
from tradenas.search.parts import nsga2 as _nsga2  # noqa: F401
from tradenas.search.parts import uniform as _uniform  # noqa: F401

__all__ = [
    "DARTS",
    "ENAS",
    "GDAS",
    "PCDARTS",
    "PDARTS",
    "SPOS",
    "Compound",
    "DARTSMinus",
    "DARTSPlus",
    "FBNet",
    "FairDARTS",
    "FairNAS",
    "MnasNet",
    "OnceForAll",
    "PathDropout",
    "Progressive",
    "RandomSearch",
    "RobustDARTS",
    "Sandwich",
    "ZeroCost",
]
