"""ONNX models say what the program says, window and stream, and never make a number of what is none."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from formats.programs import SPACES, STEPS, around, drawn, tangled
from formats.test_lower_quantised import SPACES as FIXED_POINT_SPACES
from formats.test_lower_quantised import drawn as quantised
from tradenas.errors import ConfigError, MissingExtra, UnsupportedOp
from tradenas.formats.ensemble import mean_of
from tradenas.formats.lower import lower
from tradenas.formats.parity import TOLERANCE, allowance
from tradenas.formats.program import Input, Program, Step
from tradenas.formats.reference import run_windows
from tradenas.formats.simplify import simplify
from tradenas.seeds import rng_for

pytest.importorskip("onnxruntime", reason="pip install 'tradenas[onnx]'")
from tradenas.formats.onnx import to_onnx
from tradenas.formats.onnx_file import signals_of_series, signals_of_windows
from tradenas.formats.runtime import Stream, Window, session


def opened(program, **how):
    return session(to_onnx(program, **how).SerializeToString())


def rows_and_windows(program, count):
    rows_TF = rng_for(0, "rows").standard_normal((count + program.reach - 1, len(program.columns)))
    rows_TF = rows_TF.astype(np.float32)
    return rows_TF, np.stack([rows_TF[i : i + program.reach] for i in range(count)])


def tidy(model):
    """Every constant is read, and nothing is computed twice."""
    read = {name for node in model.graph.node for name in node.input}
    assert {number.name for number in model.graph.initializer} <= read
    told = [(n.op_type, tuple(n.input), *(a.SerializeToString() for a in n.attribute)) for n in model.graph.node]
    assert len(told) == len(set(told))


def agrees(program, count=20):
    for streaming in (False, True):
        tidy(to_onnx(program, streaming=streaming))
    rows_TF, windows = rows_and_windows(program, count)
    want = run_windows(program, windows)
    unit = np.maximum(1.0, np.abs(want))
    many = opened(program, batch=None).run(None, {"window": windows})[0]
    assert (np.abs(many - want) / unit).max() < 3e-6
    one = Window(opened(program))
    assert (np.abs([one.run(w[None])[0] for w in windows] - want) / unit).max() < 3e-6
    said = Stream(opened(program, streaming=True)).run(rows_TF[None])[0]
    assert np.isnan(said[: program.reach - 1]).all()
    assert (np.abs(said[program.reach - 1 :] - want) / unit).max() < 3e-6


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("kind", STEPS)
def test_each_kind_of_step(kind, rows):
    agrees(around(kind, rows=rows))


@pytest.mark.parametrize("kind", SPACES)
def test_networks_of_random_architectures(kind):
    for number in range(5):
        agrees(lower(*drawn(kind, number)))


@pytest.mark.parametrize("number", range(30))
def test_tangled_programs(number):
    agrees(tangled(number), count=9)


@pytest.mark.parametrize("kind", STEPS)
def test_nothing_finite_comes_of_a_window_that_is_not(kind):
    program = around(kind, rows=2)
    _, windows = rows_and_windows(program, 1)
    run = opened(program, batch=None)
    spoiled = np.repeat(windows, 3 * windows.size, axis=0).reshape(3 * windows.size, -1)
    spoiled[np.arange(len(spoiled)), np.repeat(np.arange(windows.size), 3)] = np.tile(
        [np.nan, np.inf, -np.inf], windows.size
    )
    assert np.isnan(run.run(None, {"window": spoiled.reshape(-1, *windows.shape[1:])})[0]).all()
    one = Window(run)
    assert np.isfinite(one.run(windows)[0])


@pytest.mark.parametrize("kind", STEPS)
def test_a_stream_is_silent_until_the_bad_row_has_left(kind):
    program = around(kind, rows=2)
    rows_TF, _ = rows_and_windows(program, 40)
    rows_TF[program.reach + 3, 0], rows_TF[program.reach + 4, 2] = np.nan, -np.inf
    said = Stream(opened(program, streaming=True)).run(rows_TF[None])[0]
    whole = [
        t + 1 >= program.reach and np.isfinite(rows_TF[t + 1 - program.reach : t + 1]).all() for t in range(len(said))
    ]
    assert np.isfinite(said).tolist() == whole
    assert sum(whole) > 15


def test_fixed_point_is_exact():
    """Halves go up, ends saturate, and every number is one of the format."""
    program = around("quantise", rows=1)
    x, middle = program.steps[0], program["m"]
    signal = Program(
        steps=(Input(name="x", channels=1), type(middle)(name="m", reads=("x",), channels=1, fixed=middle.fixed)),
        output="m", columns=(0,),
    )  # fmt: skip
    assert x.channels == 5
    values = np.array([0.03125, -0.03125, 0.09375, -0.09375, 0.96875, -1.1, 5.0, -0.0, 0.031249], dtype=np.float32)
    got = opened(signal, batch=None).run(None, {"window": values[:, None, None]})[0]
    assert got.tolist() == [0.0625, 0.0, 0.125, -0.0625, 0.9375, -1.0, 0.9375, 0.0, 0.0]
    assert got.tolist() == run_windows(signal, values[:, None, None]).tolist()


@pytest.mark.parametrize("kind", FIXED_POINT_SPACES)
def test_quantised_networks_give_the_same_bits(kind):
    for number in range(6):
        program = simplify(lower(quantised(kind, number)))
        assert allowance(program) == (0.0, 0.0)
        rows_TF, windows = rows_and_windows(program, 200)
        want = run_windows(program, windows)
        got = opened(program, batch=None).run(None, {"window": windows})[0]
        assert got.tolist() == want.tolist()
        said = Stream(opened(program, streaming=True)).run(rows_TF[None])[0]
        assert said[program.reach - 1 :].tolist() == want.tolist()
    assert allowance(around("conv", rows=1)) == (TOLERANCE, 0.0)


def test_a_stream_forgets_when_told():
    program = around("gru", rows=2)
    rows_TF, _ = rows_and_windows(program, 12)
    stream = Stream(opened(program, streaming=True))
    first = stream.run(rows_TF[None])
    stream.run(rows_TF[None, :3])
    stream.reset()
    assert np.array_equal(first, stream.run(rows_TF[None]), equal_nan=True)


def test_two_markets_stream_side_by_side():
    program = around("conv", rows=2)
    rows_TF, _ = rows_and_windows(program, 12)
    both = Stream(opened(program, streaming=True, batch=2)).run(np.stack([rows_TF, -rows_TF]))
    alone = Stream(opened(program, streaming=True)).run(-rows_TF[None])
    np.testing.assert_allclose(both[1], alone[0], atol=1e-6)


def test_models_of_a_fixed_batch_take_any_number_of_windows():
    program = around("conv", rows=2)
    rows_TF, windows = rows_and_windows(program, 7)
    want = run_windows(program, windows)
    for count in (7, 3, 2, 0):
        said = signals_of_windows(opened(program, batch=3), windows[:count])
        np.testing.assert_allclose(said, want[:count], atol=3e-6)
    said_T = signals_of_series(opened(program, batch=3, streaming=True), rows_TF)
    np.testing.assert_allclose(said_T[program.reach - 1 :], want, atol=3e-6)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'tradenas\[onnx\]'"):
        to_onnx(around("dense", rows=1))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"pip install 'tradenas\[onnx\]'"):
        session(b"")


def test_the_model_says_what_it_is():
    program = around("conv", rows=1)
    model = to_onnx(program, notes={"study": "abc"})
    told = {p.key: p.value for p in model.metadata_props}
    assert told["reach"] == str(program.reach)
    assert told["study"] == "abc"
    assert told["names"] == '["a","b","c","d","e"]'
    assert told["columns"] == "[0,1,2,3,4]"
    assert len(told["program"]) == 16
    assert (model.ir_version, model.opset_import[0].version) == (10, 20)
    again = to_onnx(around("conv", rows=1), notes={"study": "abc"})
    assert again.SerializeToString() == model.SerializeToString()
    assert {p.key: p.value for p in to_onnx(around("dense", rows=1)).metadata_props}["program"] != told["program"]


def test_files_are_small():
    """At most 25 kB for up to 2,000 parameters: indices and bands are made when a model is loaded, not stored."""
    largest = 0
    for kind in ("chain", "cell"):
        for number in range(6):
            program = mean_of([simplify(lower(*drawn(kind, number)))] * 3)
            if program.parameters <= 2_000:
                sizes = [len(to_onnx(program, streaming=s).SerializeToString()) for s in (False, True)]
                largest = max(largest, *sizes)
    assert 8_000 < largest <= 20_000
    for kind in ("attention", "gru"):
        long, short = (to_onnx(around(kind, rows=rows)).SerializeToString() for rows in (100, 10))
        assert len(long) - len(short) < 4 * 8 * 90 + 16 * 90 + 400  # weights of the rows, and their numbers


def test_what_has_no_onnx_form_is_refused():
    class Odd(Step):
        kind = "odd thing"

    program = Program(
        steps=(Input(name="x", channels=1), Odd(name="y", reads=("x",), channels=1)), output="y", columns=(0,)
    )
    with pytest.raises(UnsupportedOp, match=r"onnx: step 'y': got op 'odd thing'.*nearest"):
        to_onnx(program)
    with pytest.raises(ConfigError, match="batch"):
        to_onnx(around("dense", rows=1), batch=0)
