"""What leaves of a quantised network says the same bits as the network, whoever computes it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from formats.test_lower_quantised import drawn
from tradenas.formats.lower import lower
from tradenas.formats.reference import run_windows
from tradenas.formats.simplify import simplify
from tradenas.seeds import rng_for

CASES = [("chain", 2), ("chain", 4), ("cell", 0), ("cell", 9)]


def case(kind, number):
    """A program, windows of real and of border numbers, and what it makes of them."""
    program = simplify(lower(drawn(kind, number)))
    x_NRF = rng_for(number, "windows").standard_normal((60, program.reach, len(program.columns))) * 2.5
    x_NRF[::2] = np.round(x_NRF[::2] * 32) / 32
    x_NRF = x_NRF.astype(np.float32)
    want = run_windows(program, x_NRF)
    assert len(np.unique(want)) > 30
    return program, x_NRF, want


@pytest.mark.parametrize(("kind", "number"), CASES)
def test_onnx_runtime(kind, number):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'tradenas[onnx]'")
    from tradenas.formats.onnx import to_onnx
    from tradenas.formats.runtime import session

    program, x_NRF, want = case(kind, number)
    said = session(to_onnx(program, batch=None).SerializeToString()).run(None, {"window": x_NRF})[0]
    assert np.array_equal(said.astype(np.float64), want)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler: apt-get install gcc")
@pytest.mark.parametrize(("kind", "number"), CASES[::2])
def test_c(kind, number, tmp_path):
    from tradenas.formats.c.build import compile_programs

    program, x_NRF, want = case(kind, number)
    assert np.array_equal(compile_programs([program], tmp_path).windows(x_NRF).astype(np.float64), want)
