"""Proves that what left computes what the network computes: on random rows, on real ones, at the edges, and on NaN.

A proof of a window entry compares signals of windows; one of a streaming entry feeds a long series row by row and
compares every signal with that of its window, so it also shows that streaming and windows are one function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tradenas.errors import ParityError, SpaceError
from tradenas.formats.grid import check_exact
from tradenas.formats.program import Program, Quantise
from tradenas.seeds import rng_for
from tradenas.typing import BoolArray, Float32Array, FloatArray, IntArray

__all__ = [
    "TOLERANCE",
    "Proof",
    "Subject",
    "allowance",
    "demand",
    "difference",
    "prove_stream",
    "prove_windows",
    "spread",
    "windows_of",
]

#: Of float32 arithmetic in another order, for signals of order 1.
TOLERANCE = 1e-5

#: Share of signals that may differ by more, where sums of float numbers are rounded to fixed point.
FLIPS = 0.002

#: Windows of random numbers, and real ones at most, that a proof compares.
RANDOM, REAL = 512, 4_096


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """What is to leave: the program, the network that was backtested, and rows to try both on.

    Attributes:
        program: to be written; of several trainings their mean, as one graph.
        network: signals (N,) of windows (N, reach, columns), in float32, as the backtested network says them.
        rows_TF: real rows in their order, of the program's columns; what a proof calls real.
        calibration_TF: rows of the training zone only, for ranges of an 8-bit version.
        labels_T: what each of `rows_TF` was to say, NaN where nobody knows; empty where there are none.
        programs: of the trainings, for formats that take the mean themselves; `program` alone where empty.
    """

    program: Program
    network: Callable[[Float32Array], FloatArray]
    rows_TF: Float32Array
    calibration_TF: Float32Array
    labels_T: FloatArray
    programs: tuple[Program, ...] = ()

    def __post_init__(self) -> None:
        if not self.programs:
            object.__setattr__(self, "programs", (self.program,))


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was compared with what, and what came of it.

    Attributes:
        what: was proved, e.g. `onnx window`.
        against: the reference.
        compared: signals.
        real: those of them that are of real rows.
        max_error: the largest |difference| / max(1, |reference|).
        tolerance: of it.
        beyond: signals that are further off.
        allowed: how many may be; see `allowance`.
        spoiled: signals whose rows held NaN or infinity, or that lacked history.
        spoke: those of them that were a number; must be 0.
    """

    what: str
    against: str
    compared: int
    real: int
    max_error: float
    tolerance: float
    spoiled: int
    spoke: int
    beyond: int = 0
    allowed: int = 0

    @property
    def passed(self) -> bool:
        """What was compared is within tolerance, and nothing spoiled spoke."""
        near = self.max_error <= self.tolerance
        rare = bool(np.isfinite(self.max_error)) and 0 < self.beyond <= self.allowed
        return self.compared > 0 and (near or rare) and self.spoke == 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the outcome; an error that is no number is told as a word."""
        error = self.max_error if np.isfinite(self.max_error) else "not a number"
        return {**asdict(self), "max_error": error, "passed": self.passed}

    def words(self) -> str:
        """One line for people."""
        off = f", {self.beyond} of them beyond it (allowed {self.allowed}: roundings of sums)" if self.allowed else ""
        return (
            f"{self.what}: {'equal' if self.passed else 'NOT EQUAL'} to {self.against} on {self.compared:,} signals "
            f"({self.real:,} of real rows), largest error {self.max_error:.2g} (allowed {self.tolerance:.2g}){off}"
            + (f"; {self.spoke} of {self.spoiled:,} spoiled inputs spoke" if self.spoiled else "")
        )


def allowance(program: Program) -> tuple[float, float]:
    """By how much a signal may differ, and which share of signals may differ by more.

    (0, 0) for fixed point that single precision holds exactly: every order of its sums gives the same bits.  A float
    program may differ by `TOLERANCE`, always.  One that rounds sums of float numbers falls, rarely, on the other side
    of a border between two steps; of these a share of `FLIPS` may be off, and the proof says by how much.
    """
    try:
        check_exact(program)
    except SpaceError:
        return TOLERANCE, FLIPS if any(isinstance(step, Quantise) for step in program.steps) else 0.0
    return 0.0, 0.0


def demand(proofs: Iterable[Proof]) -> None:
    """Refuses what is not proved.

    Raises:
        ParityError: a proof failed; it says which.
    """
    for proof in proofs:
        if not proof.passed:
            raise ParityError(proof.what, got=proof.words(), expected="the network's own signals")


def prove_windows(
    subject: Subject,
    run: Callable[[Float32Array], FloatArray],
    *,
    what: str,
    against: str = "the torch network",
    tolerance: float | None = None,
    seed: int = 0,
) -> Proof:
    """Compares a window entry with the network.

    Args:
        run: signals (N,) of windows (N, reach, columns).
        what: for the proof.
        against: what `subject.network` is.
        tolerance: 0 asks for equal numbers; None is `allowance` of the program.
        seed: of the random windows.
    """
    reach, columns = subject.program.reach, len(subject.program.columns)
    real_NRF = windows_of(subject.rows_TF, reach)[-REAL:]
    rng = rng_for(seed, "parity", what)
    random_NRF = rng.standard_normal((RANDOM, reach, columns)).astype(np.float32)
    good_NRF = np.concatenate([random_NRF, _edges(reach, columns), real_NRF])
    finite = _whole(good_NRF)
    want_N = subject.network(good_NRF[finite])
    got_N = np.asarray(run(np.ascontiguousarray(good_NRF[finite])), dtype=float)
    spoiled_NRF = _spoiled(random_NRF[0])
    said_N = np.asarray(run(spoiled_NRF))
    return Proof(
        what=what,
        against=against,
        compared=len(want_N),
        real=int(finite[len(finite) - len(real_NRF) :].sum()) if len(real_NRF) else 0,
        spoiled=len(said_N),
        spoke=int((~np.isnan(said_N)).sum()),
        **difference(got_N, want_N, subject.program, tolerance=tolerance),
    )


def prove_stream(
    subject: Subject,
    run: Callable[[Float32Array], FloatArray],
    *,
    what: str,
    against: str = "the torch network on windows",
    tolerance: float | None = None,
    seed: int = 0,
) -> Proof:
    """Compares a streaming entry with the network on the window of each row.

    The series is random rows, two of them spoiled, and then real ones; `run` sees it in one piece from a fresh start.

    Args:
        run: signals (T,) of rows (T, columns).
    """
    reach, columns = subject.program.reach, len(subject.program.columns)
    real_TF = subject.rows_TF[-REAL:]
    random_TF = rng_for(seed, "parity", what).standard_normal((RANDOM + 4 * reach, columns)).astype(np.float32)
    random_TF[2 * reach, 0], random_TF[3 * reach + 1, -1] = np.nan, np.inf
    x_TF = np.concatenate([random_TF, real_TF])
    windows_NRF = windows_of(x_TF, reach)
    whole_N = _whole(windows_NRF)
    want_N = subject.network(np.ascontiguousarray(windows_NRF[whole_N]))
    said_T = np.asarray(run(x_TF), dtype=float)
    lacking_T, said_N = said_T[: reach - 1], said_T[reach - 1 :]
    spoiled = np.concatenate([lacking_T, said_N[~whole_N]])
    return Proof(
        what=what,
        against=against,
        compared=len(want_N),
        real=int(whole_N[len(random_TF) :].sum()),
        spoiled=len(spoiled),
        spoke=int((~np.isnan(spoiled)).sum()),
        **difference(said_N[whole_N], want_N, subject.program, tolerance=tolerance),
    )


def windows_of(rows_TF: Float32Array, reach: int) -> Float32Array:
    """(N, reach, columns): every window of consecutive rows, as a view."""
    if len(rows_TF) < reach:
        return np.empty((0, reach, rows_TF.shape[1]), dtype=np.float32)
    return sliding_window_view(rows_TF, reach, axis=0).transpose(0, 2, 1)


def spread(count: int, most: int) -> IntArray:
    """All of `count` places, or `most` of them, evenly, the ends included.

    >>> spread(3, 5).tolist(), spread(9, 3).tolist()
    ([0, 1, 2], [0, 4, 8])
    """
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


def _whole(windows_NRF: Float32Array) -> BoolArray:
    return np.asarray(np.isfinite(windows_NRF).all(axis=(1, 2)))


def _edges(reach: int, columns: int) -> Float32Array:
    """Windows that markets have too: nothing moves, one spike, everything at its clipping bound, tiny numbers."""
    spike = np.zeros((reach, columns))
    spike[-1] = 10.0
    old = np.zeros((reach, columns))
    old[0] = -10.0
    level = [np.full((reach, columns), v) for v in (0.0, 1.0, -1.0, 8.0, -8.0, 1e-30, -1e-7)]
    return np.stack([spike, old, *level]).astype(np.float32)


def _spoiled(window_RF: Float32Array) -> Float32Array:
    """The window with one number replaced, at every place in turn (at most a few hundred), by NaN or an infinity."""
    places = spread(window_RF.size, 300)
    spoiled_NRF = np.repeat(window_RF[None], len(places), axis=0).reshape(len(places), -1)
    spoiled_NRF[np.arange(len(places)), places] = np.resize([np.nan, np.inf, -np.inf], len(places))
    return spoiled_NRF.reshape(len(places), *window_RF.shape)


def difference(
    got_N: FloatArray, want_N: FloatArray, program: Program, *, tolerance: float | None = None
) -> dict[str, Any]:
    """What a proof says of how far signals are from those of the reference: four of its fields."""
    within, share = allowance(program)
    within = within if tolerance is None else tolerance
    if got_N.shape != want_N.shape:
        return {"max_error": float("inf"), "tolerance": within, "beyond": len(want_N), "allowed": 0}
    error_N = np.abs(got_N - want_N) / np.maximum(1.0, np.abs(want_N))
    return {
        "max_error": float(np.max(error_N, initial=0.0)),
        "tolerance": within,
        "beyond": int((~(error_N <= within)).sum()),  # NaN is beyond
        "allowed": int(np.ceil(share * len(want_N))),
    }
