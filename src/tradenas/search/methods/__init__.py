"""Search methods, one file each, and the finders that one-shot methods look with."""

from tradenas.search.methods.random_search import RandomSearch
from tradenas.search.methods.spos import SPOS
from tradenas.search.parts import uniform as _uniform  # noqa: F401  (its finders register themselves)

__all__ = ["SPOS", "RandomSearch"]
