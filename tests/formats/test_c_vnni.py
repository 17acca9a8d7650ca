"""Programs in 8 bits: near what they came from, and in C, by VNNI or without, exactly what the program says."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from formats.programs import taps
from tradenas.errors import ConfigError, ExportError
from tradenas.formats.c.build import compile_programs
from tradenas.formats.c.library import compile_library
from tradenas.formats.c.vnni import Dot, Pack, packed
from tradenas.formats.eight_bits import eight_bits
from tradenas.formats.program import Add, Fixed, Input, Pointwise, Program, Quantise, Step, Taps
from tradenas.formats.reference import run_series, run_windows
from tradenas.seeds import rng_for

needs_gcc = pytest.mark.skipif(not (shutil.which("gcc") or shutil.which("clang")), reason="apt-get install gcc")


def residual(width: int, layers: int = 2, at: tuple[int, ...] = (3, 2, 1, 0)) -> Program:
    """Layers of convolution, relu and skip, as in the public `cnn_tiny`, between a stem and a head."""
    steps: list[Step] = [Input(name="x", channels=6), taps("stem", "x", 6, width, (0,))]
    now = "stem"
    for i in range(layers):
        steps += [
            taps(f"conv{i}", now, width, width, at),
            Pointwise(name=f"relu{i}", reads=(f"conv{i}",), channels=width, function="relu"),
            Add(name=f"sum{i}", reads=(f"relu{i}", now), channels=width),
        ]
        now = f"sum{i}"
    steps.append(taps("signal", now, width, 1, (0,)))
    return Program(steps=tuple(steps), output="signal", columns=tuple(range(6)))


def fixed_point(sign: int, width: int = 32) -> Program:
    """Weights of 4 bits, each channel with a power of two of its own, between quantisers of 6 bits."""
    rng = rng_for(sign, "vnni", "fixed")
    weight = rng.integers(-7, 8, (width, width, 3)) * 2.0 ** rng.integers(-6, -2, (width, 1, 1))
    steps = (
        Input(name="x", channels=width),
        Quantise(name="q", reads=("x",), channels=width, fixed=Fixed(sign, 2, 6 - 2 - sign)),
        Taps(name="c", reads=("q",), channels=width, weight=weight, bias=rng.integers(-9, 9, width) / 8, at=(0, 2, 5)),
        Quantise(name="r", reads=("c",), channels=width, fixed=Fixed(0, 3, 3)),
        Taps(name="y", reads=("r",), channels=1, weight=np.ones((1, width, 1)) / 8, bias=np.zeros(1), at=(0,)),
    )
    return Program(steps=steps, output="y", columns=tuple(range(width)))


def rows(program: Program, count: int = 80) -> np.ndarray:
    return rng_for(1, "vnni", "rows").standard_normal((count, len(program.columns))).astype(np.float32)


def kinds(program: Program) -> list[str]:
    return [type(step).__name__ for step in packed(program).steps if isinstance(step, (Dot, Pack))]


@pytest.fixture(scope="module")
def eight():
    made = {f"net{n}": residual(n) for n in (16, 48)} | {"net144": residual(144, 1, (9, 0))}
    return {name: eight_bits(p, rows(p, 300).astype(float)) for name, p in made.items()}


def test_eight_bits_are_near(eight):
    for width in (16, 48):
        program = residual(width)
        x_TF = rows(program, 300).astype(float)
        exact, near = (run_series(p, x_TF)[program.reach :] for p in (program, eight[f"net{width}"]))
        assert 0 < np.linalg.norm(near - exact) / np.linalg.norm(exact) < 0.02


def test_what_is_worth_it_becomes_bytes(eight):
    assert kinds(eight["net16"]) == ["Pack", "Dot", "Pack", "Dot"]  # neither the stem nor the head
    assert kinds(residual(16)) == []
    assert kinds(fixed_point(0)) == kinds(fixed_point(1)) == ["Pack", "Dot"]
    program = fixed_point(0)
    wide = {"q": Fixed(0, 2, 7), "c": None}
    for name, fixed in wide.items():
        steps = list(program.steps)
        at = [s.name for s in steps].index(name)
        steps[at] = replace(steps[at], fixed=fixed) if fixed else replace(steps[at], weight=steps[at].weight * 0.3)
        assert kinds(replace(program, steps=tuple(steps))) == []


@needs_gcc
def test_c_says_what_the_program_says(eight, tmp_path, monkeypatch):
    """By whatever instructions this CPU has; without any, slowly."""
    programs = eight | {"fixed0": fixed_point(0), "fixed1": fixed_point(1)}
    monkeypatch.setenv("CFLAGS", "-O1 -DTN_PORTABLE")
    quick = compile_library({n: [p] for n, p in programs.items()}, tmp_path, "quick", vnni=True)
    for name, program in programs.items():
        x_TF = rows(program)
        want_T, said_T = run_series(program, x_TF)[program.reach - 1 :], quick[name].series(x_TF)[program.reach - 1 :]
        windows_NRF = np.stack([x_TF[i : i + program.reach] for i in range(20)])
        if name.startswith("fixed"):
            assert len(set(want_T)) > 20
            assert np.array_equal(said_T, want_T)
            assert np.array_equal(quick[name].windows(windows_NRF), run_windows(program, windows_NRF))
        else:  # a number on the edge between two integers may fall to either side
            off = np.abs(said_T - want_T)
            assert np.median(off) < 1e-6
            assert off.max() < 0.02
            assert np.abs(quick[name].windows(windows_NRF) - said_T[:20]).max() < 1e-6


@needs_gcc
def test_portable_and_vnni_are_equal(tmp_path, monkeypatch):
    program = fixed_point(1)
    monkeypatch.setenv("CFLAGS", "-O1 -mno-avx512vnni -mno-avxvnni -DTN_PORTABLE")
    slow = compile_library({"net": [program]}, tmp_path, "slow", vnni=True)["net"]
    x_TF = rows(program)
    assert np.array_equal(slow.series(x_TF)[5:], run_series(program, x_TF)[5:])


@needs_gcc
def test_a_cpu_without_vnni_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("CFLAGS", "-mno-avx512vnni -mno-avxvnni")
    with pytest.raises(ExportError, match="this CPU has no VNNI"):
        compile_programs([fixed_point(0)], tmp_path, vnni=True)
    assert np.isfinite(compile_programs([fixed_point(0)], tmp_path).series(rows(fixed_point(0)))[5:]).all()


def test_nothing_to_gain_is_refused():
    with pytest.raises(ConfigError, match="no such step"):
        eight_bits(residual(12), rows(residual(12)).astype(float))
    with pytest.raises(ConfigError, match="3 rows"):
        eight_bits(residual(16), rows(residual(16), 3).astype(float))
