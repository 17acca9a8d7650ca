"""C says what the program says: every kind of step, window and stream, any channels; NaN for what is no number."""

from __future__ import annotations

import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from formats.programs import SPACES, STEPS, WIDE, around, drawn, tangled
from formats.test_lower_quantised import drawn as quantised
from tradenas.formats.c.library import Member, compile_library
from tradenas.formats.lower import lower
from tradenas.formats.program import (
    Add,
    Concat,
    Fixed,
    Input,
    LayerNorm,
    Max,
    Pick,
    Pointwise,
    Program,
    Quantise,
    Step,
    Taps,
)  # fmt: skip
from tradenas.formats.reference import run_windows
from tradenas.formats.simplify import simplify
from tradenas.seeds import rng_for

pytestmark = pytest.mark.skipif(not (shutil.which("gcc") or shutil.which("clang")), reason="apt-get install gcc")


def fixed_point_program(number: int) -> Program:
    """Dyadic weights, and a quantiser behind every sum: there is one right answer, to the bit."""
    rng = rng_for(number, "c", "fixed")

    def dyadic(*shape: int) -> np.ndarray:
        return np.round(rng.standard_normal(shape) * 8) / 8

    steps: list[Step] = [
        Input(name="x", channels=6),
        Quantise(name="q", reads=("x",), channels=6, fixed=Fixed(1, 3, 4)),
    ]
    c = 6
    for i, (out, fixed) in enumerate([(16, Fixed(0, 2, 3)), (9, Fixed(1, 2, 5)), (8, Fixed(0, 4, -1))]):
        before = steps[-1].name
        steps.append(
            Taps(name=f"t{i}", reads=(before,), channels=out, weight=dyadic(out, c, 3), bias=dyadic(out), at=(0, 1, 4))
        )
        steps.append(Quantise(name=f"q{i}", reads=(f"t{i}",), channels=out, fixed=fixed))
        c = out
    steps.append(Taps(name="signal", reads=("q2",), channels=1, weight=dyadic(1, c, 1), bias=dyadic(1), at=(0,)))
    return Program(steps=tuple(steps), output="signal", columns=tuple(range(6)))


def overflowing(kind: str) -> Program:
    """Infinity less infinity, for large rows, in front of one step."""
    both = np.array([[2.0], [-2.0]])[:, :, None]
    steps = (
        Input(name="x", channels=1),
        Taps(name="u", reads=("x",), channels=2, weight=both, bias=np.zeros(2), at=(0,)),
        Taps(name="d", reads=("x",), channels=2, weight=-both, bias=np.zeros(2), at=(0,)),
        Add(name="a", reads=("u", "d"), channels=2),
        replace(STEPS[kind](), reads=("a",), channels=2),
        Taps(name="signal", reads=("m",), channels=1, weight=np.ones((1, 2, 1)), bias=np.zeros(1), at=(0,)),
    )
    return Program(steps=steps, output="signal", columns=(0,))


def function(name: str) -> Program:
    """Nothing but a function."""
    steps = (Input(name="x", channels=1), Pointwise(name="y", reads=("x",), channels=1, function=name))
    return Program(steps=steps, output="y", columns=(0,))


def rounding() -> Program:
    """Nothing but a quantiser."""
    steps = (Input(name="x", channels=1), Quantise(name="y", reads=("x",), channels=1, fixed=Fixed(1, 3, 4)))
    return Program(steps=steps, output="y", columns=(0,))


def long() -> Program:
    """A window of more values than belong on a stack."""
    weight = rng_for(0, "c", "long").standard_normal((1, 101, 2)) / 10
    steps = (
        Input(name="x", channels=101),
        Pointwise(name="r", reads=("x",), channels=101, function="relu"),
        Taps(name="y", reads=("r",), channels=1, weight=weight, bias=np.zeros(1), at=(0, 599)),
    )  # fmt: skip
    return Program(steps=steps, output="y", columns=tuple(range(101)))


def uneven() -> Program:
    """A concatenation whose parts leave padding that none of them writes to."""
    steps = (
        Input(name="x", channels=9),
        Pick(name="a", reads=("x",), channels=8, index=tuple(range(8))),
        Pick(name="b", reads=("x",), channels=1, index=(8,)),
        Concat(name="c", reads=("a", "b"), channels=9),
        Max(name="m", reads=("c",), channels=9, rows=2),
        LayerNorm(name="n", reads=("m",), channels=9, gain=np.ones(9), shift=np.ones(9)),
        Taps(name="y", reads=("n",), channels=1, weight=np.ones((1, 9, 1)), bias=np.zeros(1), at=(0,)),
    )
    return Program(steps=steps, output="y", columns=tuple(range(9)))


FUNCTIONS = ("gelu", "tanh", "sigmoid")
OVERFLOWING = ("relu", "leaky_relu", "gelu", "tanh", "sigmoid", "quantise", "unsigned", "max")
FEW = {
    **{f"overflow_{kind}": overflowing(kind) for kind in OVERFLOWING},
    **{f"function_{name}": function(name) for name in FUNCTIONS},
    "fixed_rounding": rounding(),
    "long": long(),
    "uneven": uneven(),
    **{f"{kind}_3": around(kind, rows=3) for kind in STEPS},
    **{f"random_{n}": tangled(n, widths=WIDE, lags=24) for n in range(4)},
    **{f"fixed_{n}": fixed_point_program(n) for n in range(2)},
}
MANY = {
    **{f"{kind}_1": around(kind, rows=1) for kind in STEPS},
    **{f"random_{n}": tangled(n, widths=WIDE, lags=24) for n in range(4, 60)},
    **{f"fixed_{n}": fixed_point_program(n) for n in range(2, 10)},
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """At -O1, which takes half the time and keeps the same order of sums."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", "-O1")
        return compile_library({f"net_{n}": [p] for n, p in FEW.items()}, tmp_path_factory.mktemp("c"))


def rows_and_windows(program: Program, count: int) -> tuple[np.ndarray, np.ndarray]:
    rows_TF = rng_for(0, "rows").standard_normal((count + program.reach - 1, len(program.columns))).astype(np.float32)
    return rows_TF, np.stack([rows_TF[i : i + program.reach] for i in range(count)])


def agrees(program: Program, member: Member, *, exactly: bool, tolerance: float = 1e-6) -> None:
    """Windows and stream give the reference's signals, and the stream nothing before its first whole window."""
    rows_TF, windows_NRF = rows_and_windows(program, 40)
    want_N = run_windows(program, windows_NRF)
    allowed = 0.0 if exactly else tolerance * max(1.0, float(np.abs(want_N).max()))
    assert np.abs(member.windows(windows_NRF) - want_N).max() <= allowed
    both = np.stack([np.full_like(windows_NRF, np.nan), windows_NRF], axis=1).reshape(-1, *windows_NRF.shape[1:])
    again = member.windows(both)  # what NaN leaves in memory, padding of rows above all, is nothing to the next window
    assert np.array_equal(again[1::2], member.windows(windows_NRF))
    assert np.isnan(again[::2]).all()
    said_T = member.series(rows_TF)
    assert np.isnan(said_T[: program.reach - 1]).all()
    assert np.abs(said_T[program.reach - 1 :] - want_N).max() <= allowed


@pytest.mark.parametrize("name", FEW)
def test_programs(compiled, name):
    agrees(FEW[name], compiled[f"net_{name}"], exactly=name.startswith("fixed"))


def test_trained_rounding_keeps_every_bit(tmp_path, monkeypatch):
    """Networks whose weights and values are rounded while they learn: C gives the bits of the network, not nearly."""
    monkeypatch.setenv("CFLAGS", "-O1 -DTN_PORTABLE")
    networks = {f"net_{kind}_{n}": quantised(kind, n) for kind in ("chain", "cell") for n in range(2)}
    programs = {name: simplify(lower(network)) for name, network in networks.items()}
    members = compile_library({name: [p] for name, p in programs.items()}, tmp_path, vnni=True)
    for name, program in programs.items():
        rows_TF, windows_NRF = rows_and_windows(program, 200)
        want_N = run_windows(program, windows_NRF)
        assert np.array_equal(members[name].windows(windows_NRF), want_N), name
        assert np.array_equal(members[name].series(rows_TF)[program.reach - 1 :], want_N), name


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="flags of x86")
@pytest.mark.parametrize("flags", ["-mno-avx512f", "-march=x86-64"])
def test_older_cpus(flags, tmp_path, monkeypatch):
    """Vectors that a CPU has not are split by the compiler, and single instructions have a plain form."""
    monkeypatch.setenv("CFLAGS", f"-O1 {flags}")
    some = [n for n in FEW if n.split("_")[0] in ("overflow", "fixed", "function") or n in ("gru_3", "attention_3")]
    members = compile_library({f"net_{n}": [FEW[n]] for n in some}, tmp_path)
    for name in some:
        if name.startswith("overflow"):
            test_what_overflows_inside_is_not_hidden(members, name.removeprefix("overflow_"))
        elif name.startswith("function"):
            test_functions_over_all_numbers(members, name.removeprefix("function_"))
        else:
            agrees(FEW[name], members[f"net_{name}"], exactly=name.startswith("fixed"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPACES)
def test_many_networks(kind, tmp_path):
    networks = {f"net_{n}": simplify(lower(*drawn(kind, n))) for n in range(10)}
    members = compile_library({name: [p] for name, p in networks.items()}, tmp_path)
    for name, program in networks.items():
        agrees(program, members[name], exactly=False, tolerance=2e-6)  # torch in float32: up to 9e-7


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_many_programs(part, tmp_path):
    some = {f"net_{n}": MANY[n] for n in list(MANY)[part::6]}
    members = compile_library({name: [p] for name, p in some.items()}, tmp_path)
    for name, program in some.items():
        agrees(program, members[name], exactly=name.startswith("net_fixed"))


@pytest.mark.parametrize("name", [n for n in FEW if n.endswith("_3")])
def test_nothing_finite_comes_of_rows_that_are_not(compiled, name):
    program, member = FEW[name], compiled[f"net_{name}"]
    _, windows_NRF = rows_and_windows(program, 1)
    cells = windows_NRF.size
    spoiled = np.repeat(windows_NRF, 3 * cells, axis=0).reshape(3 * cells, -1)
    spoiled[np.arange(3 * cells), np.repeat(np.arange(cells), 3)] = np.tile([np.nan, np.inf, -np.inf], cells)
    assert np.isnan(member.windows(spoiled.reshape(-1, *windows_NRF.shape[1:]))).all()
    rows_TF, _ = rows_and_windows(program, 60 + program.reach)
    rows_TF[program.reach + 3, 0], rows_TF[program.reach + 4, -1] = np.nan, -np.inf
    ends = range(1, len(rows_TF) + 1)
    whole = [e >= program.reach and np.isfinite(rows_TF[e - program.reach : e]).all() for e in ends]
    assert np.isfinite(member.series(rows_TF)).tolist() == whole
    assert sum(whole) > 15


@pytest.mark.parametrize("kind", OVERFLOWING)
def test_what_overflows_inside_is_not_hidden(compiled, kind):
    """Infinity less infinity: no step may make a number of it."""
    reach = FEW[f"overflow_{kind}"].reach
    rows = np.ones((4, reach, 1))
    rows[0], rows[1, 0], rows[2, -1] = 3e38, 3e38, 3e38
    said = compiled[f"net_overflow_{kind}"].windows(rows)
    assert np.isnan(said).tolist() == [True, True, True, False]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_over_all_numbers(compiled, function):
    numbers = np.concatenate([np.linspace(-30, 30, 60_001), np.logspace(-7, 4, 2_000), -np.logspace(-7, 4, 2_000)])
    x_NRF = numbers.astype(np.float32)[:, None, None]
    want_N = run_windows(FEW[f"function_{function}"], x_NRF)
    off_N = np.abs(compiled[f"net_function_{function}"].windows(x_NRF) - want_N) / np.maximum(1.0, np.abs(want_N))
    assert off_N.max() <= 8e-7  # torch in float32: 1.1e-6 (gelu)


def test_small_numbers_keep_their_digits(compiled):
    x_NRF = np.logspace(-20, -3, 400).astype(np.float32)[:, None, None]
    for function in ("tanh", "gelu"):
        want_N = run_windows(FEW[f"function_{function}"], x_NRF)
        assert np.abs(compiled[f"net_function_{function}"].windows(x_NRF) / want_N - 1).max() <= 1e-6


def test_halves_are_rounded_up_and_their_neighbours_are_not(compiled):
    """One half less the last bit, plus one half, is 1 in single precision: rounding must not go that way."""
    halves = ((np.arange(-140, 140) + 0.5) / 16).astype(np.float32)
    numbers = np.concatenate([halves, np.nextafter(halves, np.float32(-9)), np.nextafter(halves, np.float32(9))])
    want_N = run_windows(FEW["fixed_rounding"], numbers[:, None, None])
    assert np.array_equal(compiled["net_fixed_rounding"].windows(numbers[:, None, None]), want_N)


def test_threads_do_not_share_the_values_of_a_window(compiled):
    program, member = FEW["long"], compiled["net_long"]
    _, windows_NRF = rows_and_windows(program, 20)
    with ThreadPoolExecutor(4) as pool:  # ctypes lets the others run
        said = list(pool.map(lambda k: member.windows(np.roll(windows_NRF, k, axis=0)), range(16)))
    want_N = run_windows(program, windows_NRF)
    assert max(np.abs(s - np.roll(want_N, k)).max() for k, s in enumerate(said)) < 1e-6
