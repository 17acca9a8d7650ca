"""The C file as an extension module, as a program that tests itself, and where there is nothing to compile it with."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sysconfig
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from formats.programs import around, taps
from tradenas import loader
from tradenas.errors import ConfigError, ExportError, MissingExtra, UnsupportedOp
from tradenas.formats.c import compile_programs, emit, self_test
from tradenas.formats.c.layout import numbers
from tradenas.formats.c.library import compile_library
from tradenas.formats.c.row import Constants
from tradenas.formats.program import Depthwise, Input, Program, Step
from tradenas.formats.reference import run_windows
from tradenas.seeds import rng_for

pytestmark = pytest.mark.skipif(not (shutil.which("gcc") or shutil.which("clang")), reason="apt-get install gcc")

PREFIX = "pair"


def searched_like() -> Program:
    """1,900 numbers: a bank of 60 taps with two in three closed, two convolutions of 16 channels, a head."""
    rng = rng_for(0, "c", "bank")
    bank = np.where(rng.random((8, 60)) < 0.7, 0.0, rng.standard_normal((8, 60)))
    x = Input(name="x", channels=8)
    filters = Depthwise(name="f", reads=("x",), channels=8, weight=bank, bias=np.zeros(8), at=tuple(range(60)))
    steps = (
        x, filters, taps("a", "f", 8, 16, (2, 1, 0)), taps("b", "a", 16, 20, (2, 1, 0)), taps("s", "b", 20, 1, (0,))
    )  # fmt: skip
    return Program(steps=steps, output="s", columns=tuple(range(8)))


PROGRAMS = (around("gru", rows=2), around("attention", rows=3))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return compile_programs(PROGRAMS, tmp_path_factory.mktemp("pair"), PREFIX)


def rows(count: int, name: str = "rows") -> np.ndarray:
    return rng_for(0, name).standard_normal((count, 5)).astype(np.float32)


def wanted(x_TF: np.ndarray, reach: int) -> np.ndarray:
    windows = np.stack([x_TF[i : i + reach] for i in range(len(x_TF) - reach + 1)])
    return np.mean([run_windows(p, windows) for p in PROGRAMS], axis=0)


def test_several_programs_are_their_mean(pair):
    reach = max(p.reach for p in PROGRAMS)
    assert (reach, 5, 2) == (pair.module.REACH, pair.module.COLUMNS, pair.module.PROGRAMS)
    assert len({p.reach for p in PROGRAMS}) == 2
    x_TF = rows(60)
    want = wanted(x_TF, reach)
    assert np.abs(pair.series(x_TF)[reach - 1 :] - want).max() < 1e-6
    assert np.abs(pair.windows(np.stack([x_TF[i : i + reach] for i in range(len(want))])) - want).max() < 1e-6


def test_two_streams_remember_apart(pair):
    a, b = pair.module.Stream(), pair.module.Stream()
    x_TF, y_TF = rows(40), rows(40, "others")
    mixed = [(a.step(x), b.step(y)) for x, y in zip(x_TF, y_TF, strict=True)]
    alone = np.stack([pair.series(x_TF), pair.series(y_TF)], axis=1)
    assert np.array_equal(mixed, alone, equal_nan=True)
    a.reset()
    assert np.array_equal([a.step(x) for x in x_TF], alone[:, 0], equal_nan=True)


def test_a_stream_is_ready_with_its_first_signal(pair):
    stream = pair.module.Stream()
    for t, x in enumerate(rows(30)):
        signal = stream.step(x)
        assert stream.ready == np.isfinite(signal) == (t + 1 >= pair.module.REACH)


def test_bound_arrays_are_read_in_place(pair):
    x_TF, reach = rows(40), pair.module.REACH
    row, window = np.zeros(5, np.float32), np.zeros((reach, 5), np.float32)
    stream, whole = pair.module.Stream(row), pair.module.Window(window)
    want = pair.series(x_TF)
    for t, x in enumerate(x_TF):
        row[:] = x
        window[:-1] = window[1:]
        window[-1] = x
        said = stream.step()
        assert np.array_equal(said, want[t], equal_nan=True)
        if t + 1 >= reach:
            assert whole.run() == pytest.approx(said, abs=1e-6)
            assert pair.module.window(window) == whole.run()


@pytest.mark.parametrize(
    ("bad", "error", "told"),
    [
        (np.zeros(5), TypeError, "float32, got the format 'd'"),
        (np.zeros(5, np.int32), TypeError, "float32, got the format 'i'"),
        (np.zeros(5, ">f4"), TypeError, "float32"),
        (np.zeros(10, np.float32)[::2], TypeError, "contiguous"),
        (np.zeros(4, np.float32), ValueError, "expected 5 numbers, got 4"),
        ([0.0] * 5, TypeError, "float32"),
    ],
)
def test_other_arrays_are_refused(pair, bad, error, told):
    with pytest.raises(error, match=told):
        pair.module.Stream().step(bad)
    with pytest.raises(error, match=told):
        pair.module.Stream(bad)
    with pytest.raises(error, match=told.replace("5", str(5 * pair.module.REACH))):
        pair.module.Window(bad)
    with pytest.raises(TypeError, match="expected a row"):
        pair.module.Stream().step()
    closed = np.zeros(3, np.float32)
    closed.flags.writeable = False
    with pytest.raises(TypeError, match="writable"):
        pair.module.Stream().series(np.zeros((3, 5), np.float32), closed)


@pytest.mark.skipif(not shutil.which("nm"), reason="apt-get install binutils")
def test_symbols_bind_to_nothing_else(pair, tmp_path):
    def defined(path: Path) -> list[str]:
        lines = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True)
        return [line.split()[-1] for line in lines.stdout.splitlines()]

    assert [s for s in defined(pair.shared) if not s.startswith("_")] == [f"PyInit_{PREFIX}"]
    plain = compile_library({"net": [PROGRAMS[0]]}, tmp_path)["net"].library._name
    names = [s for s in defined(Path(plain)) if not s.startswith("_")]
    assert {"net_step", "net_window", "net_reset", "net_bytes"} <= set(names)
    assert all(s.startswith("net_") for s in names)


C_USER = """
#include <stdio.h>
#include <stdlib.h>
void pair_window(const float *, float *);
void pair_reset(void *);
int pair_step(void *, const float *, float *);
size_t pair_bytes(void);
int main(void) {
  void *state = aligned_alloc(64, (pair_bytes() + 63) / 64 * 64);
  float row[5] = {1, 2, 3, 4, 5}, signal;
  int told = 0;
  pair_reset(state);
  for (int t = 0; t < 40; t++) told += pair_step(state, row, &signal);
  printf("%d %.9g", told, signal);
}
"""


def test_a_program_in_c_needs_only_the_file(pair, tmp_path):
    (tmp_path / "user.c").write_text(C_USER, encoding="utf-8")
    command = [*loader.compiler(), *loader.FLAGS, tmp_path / "user.c", pair.source, "-lm", "-o", tmp_path / "user"]
    subprocess.run(command, check=True)
    told, signal = subprocess.run([tmp_path / "user"], capture_output=True, text=True, check=True).stdout.split()
    assert int(told) == 40 - pair.module.REACH + 1
    x_TF = np.tile(np.arange(1, 6, dtype=np.float32), (40, 1))
    assert float(signal) == pytest.approx(pair.series(x_TF)[-1], rel=1e-6)


def test_it_tests_itself_without_python(pair, tmp_path):
    said = self_test(pair.source, PREFIX, calls=50)
    assert "32 signals" in said
    assert said.splitlines()[0].endswith("passed")
    assert [line.split()[0] for line in said.splitlines()[1:]] == ["clock", "window", "stream"]
    text = pair.source.read_text(encoding="utf-8")
    at = text.index("{", text.index(f"{PREFIX}_golden[")) + 1
    first = text[at : text.index(",", at)]
    spoiled = tmp_path / "pair.c"
    spoiled.write_text(text[:at] + f"({first}) + 0.001f" + text[text.index(",", at) :], encoding="utf-8")
    with pytest.raises(ExportError, match="FAILED"):
        self_test(spoiled, PREFIX)


def test_a_small_network_is_a_small_file(tmp_path):
    program = searched_like()
    assert 1800 < program.parameters <= 2000
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", "-Wall -Wextra -Werror")  # what a careful user's build would say
        made = compile_programs([program], tmp_path)
    assert made.shared.stat().st_size <= 40_000
    x_TF = rng_for(0, "x").standard_normal((80, 8)).astype(np.float32)
    windows = np.stack([x_TF[i : i + program.reach] for i in range(80 - program.reach + 1)])
    assert np.abs(made.windows(windows) - run_windows(program, windows)).max() < 1e-6
    assert loader.extension(made.source, "tradenas_net") != made.shared  # other flags
    before = made.shared.stat().st_mtime_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", "-Wall -Wextra -Werror")
        assert compile_programs([program], tmp_path).shared == made.shared
    assert made.shared.stat().st_mtime_ns == before


def test_without_a_compiler(tmp_path, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match="apt-get install gcc; or use the ONNX file"):
        compile_programs(PROGRAMS, tmp_path)


def test_without_headers_of_python(tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    with pytest.raises(MissingExtra, match=r"apt-get install python3-dev"):
        compile_programs(PROGRAMS, tmp_path)


def test_what_the_compiler_refuses_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("CFLAGS", "-fno-such-flag-there-is")
    with pytest.raises(ExportError, match="no-such-flag"):
        compile_programs(PROGRAMS, tmp_path)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["tradenas_net.c"]


class Unknown(Step):
    kind = "sorting"


def test_what_cannot_be_written_is_refused():
    program = PROGRAMS[0]
    x = Input(name="x", channels=1)
    strange = Program(steps=(x, Unknown(name="y", reads=("x",), channels=1)), output="y", columns=(0,))
    with pytest.raises(UnsupportedOp, match="c: step 'y': got op 'sorting'"):
        emit([strange])
    steps = tuple(replace(s, bias=s.bias * np.inf) if s.name == "signal" else s for s in program.steps)
    with pytest.raises(ExportError, match="finite in 32 bits"):
        emit([replace(program, steps=steps)])
    with pytest.raises(ExportError, match="same columns"):
        emit([program, replace(program, columns=(1, 2, 3, 4, 5))])
    with pytest.raises(ExportError, match="none"):
        emit([])
    with pytest.raises(ConfigError, match="prefix"):
        emit([program], "no-name")


def test_where_the_folder_cannot_be_written_to_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "one.c"
    source.write_text("int one_is(void) { return 1; }\n", encoding="utf-8")
    beside = loader.library(source, "one")
    assert beside.parent == tmp_path / "built"
    beside.unlink()
    beside.parent.rmdir()
    (tmp_path / "built").write_text("in the way", encoding="utf-8")
    assert loader.library(source, "one").parent == tmp_path / "cache" / "tradenas" / "c"
    assert ctypes.CDLL(str(loader.library(source, "one"))).one_is() == 1
    (tmp_path / "cache" / "tradenas").rename(tmp_path / "away")
    (tmp_path / "cache" / "tradenas").write_text("in the way too", encoding="utf-8")
    with pytest.raises(loader.CompilerError, match="cannot write into"):
        loader.library(source, "one")


def test_arrays_of_two_sorts_are_two_arrays():
    constants = Constants("net")
    names = {constants.offsets(np.array([1, 2])), constants.bytes(np.array([1, 2], np.int8))}
    assert len(names) == 2
    assert constants.offsets(np.array([1, 2])) in names


def test_numbers_read_back_as_the_same_bits():
    bits = rng_for(0, "floats").integers(0, 2**32, 20_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    values = np.concatenate([bits[np.isfinite(bits)], np.float32([0.0, -0.0, 1.0, 2.0**24, 1e-45, 3.4e38])])
    told = numbers(values.astype(float)).strip("{}").replace("\n", "").split(",")
    assert all(text.endswith("f") and ("." in text or "e" in text) for text in told)
    back = np.array([np.float32(text.removesuffix("f")) for text in told])
    assert np.array_equal(back.view(np.uint32), values.view(np.uint32))
    for wrong in (np.inf, np.nan, 1e39):
        with pytest.raises(ExportError, match="finite in 32 bits"):
            numbers(np.array([1.0, wrong]))
