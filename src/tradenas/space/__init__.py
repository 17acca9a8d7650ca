"""What may be chosen, as data: no torch in here."""

from tradenas.space.architecture import Architecture
from tradenas.space.blueprint import BLUEPRINTS, CROSS_ASSET, FIXED_POINT, SELF_ACTIVATED, WEIGHTLESS, Blueprint
from tradenas.space.cell import CELL_OPS, Cell
from tradenas.space.chain import CHAIN_OPS, Chain
from tradenas.space.choice import Choice, Option, Picked
from tradenas.space.evolve import crossover, mutate
from tradenas.space.fixed import Fixed
from tradenas.space.graph import Edge, Graph, essential
from tradenas.space.shares import option_shares
from tradenas.space.space import SearchSpace, draw
from tradenas.space.switches import closed, is_single, is_switch, off_option

__all__ = [
    "BLUEPRINTS", "CELL_OPS", "CHAIN_OPS", "CROSS_ASSET", "FIXED_POINT", "SELF_ACTIVATED", "WEIGHTLESS", "Architecture",
    "Blueprint", "Cell", "Chain", "Choice", "Edge", "Fixed", "Graph", "Option", "Picked", "SearchSpace", "closed",
    "crossover", "draw", "essential", "is_single", "is_switch", "mutate", "off_option", "option_shares",
]  # fmt: skip
