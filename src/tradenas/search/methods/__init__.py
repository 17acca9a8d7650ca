"""Search methods, one file each."""

from tradenas.search.methods.random_search import RandomSearch
from tradenas.search.methods.spos import SPOS

__all__ = ["SPOS", "RandomSearch"]
