"""Small causal networks by C kernels that are compiled on the machine they run on; PyTorch where that cannot be."""

from __future__ import annotations

from tradenas.nn.native.build import available, compiled, engine, off
from tradenas.nn.native.cells import run_cells
from tradenas.nn.native.path import call_of, run_path

__all__ = ["available", "call_of", "compiled", "engine", "off", "run_cells", "run_path"]
