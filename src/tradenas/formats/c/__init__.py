"""Networks as C: one file of vector code for a window and for a stream, compiled where it runs."""

from __future__ import annotations

from tradenas.formats.c.build import Compiled, compile_programs, self_test
from tradenas.formats.c.emit import emit

__all__ = ["Compiled", "compile_programs", "emit", "self_test"]
