"""What may be chosen, as data: no torch in here."""

from tradenas.space.architecture import Architecture
from tradenas.space.chain import CHAIN_OPS, Chain
from tradenas.space.choice import Choice, Option, Picked
from tradenas.space.evolve import crossover, mutate
from tradenas.space.shares import option_shares
from tradenas.space.space import SearchSpace, draw

__all__ = [
    "CHAIN_OPS", "Architecture", "Chain", "Choice", "Option", "Picked", "SearchSpace", "crossover", "draw", "mutate",
    "option_shares",
]  # fmt: skip
