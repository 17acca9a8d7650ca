"""A proof holds for what is equal, and falls for the least that is not."""

from __future__ import annotations

import numpy as np
import pytest

from formats.programs import around
from tradenas.errors import ParityError
from tradenas.formats.parity import TOLERANCE, Subject, allowance, demand, prove_stream, prove_windows, windows_of
from tradenas.formats.reference import run_windows
from tradenas.seeds import rng_for

PROGRAM = around("conv", rows=2)


def subject(**change) -> Subject:
    rows_TF = rng_for(0, "real").standard_normal((100, 5)).astype(np.float32)
    whole = {
        "program": PROGRAM, "network": lambda w: run_windows(PROGRAM, w), "rows_TF": rows_TF,
        "calibration_TF": rows_TF, "labels_T": np.zeros(100),
    }  # fmt: skip
    return Subject(**{**whole, **change})


def windows(x_NRF, fault=lambda x_NRF, y_N: y_N):
    """A runtime with a fault."""
    y_N = np.where(np.isfinite(x_NRF).all((1, 2)), run_windows(PROGRAM, np.nan_to_num(x_NRF)), np.nan)
    return fault(x_NRF, y_N)


def series(x_TF, fault=lambda x_TF, y_T: y_T):
    y_T = np.full(len(x_TF), np.nan)
    y_T[PROGRAM.reach - 1 :] = windows(windows_of(x_TF, PROGRAM.reach))
    return fault(x_TF, y_T)


def test_what_is_equal_passes():
    for proof in (prove_windows(subject(), windows, what="w"), prove_stream(subject(), series, what="s")):
        assert proof.passed
        assert proof.max_error == 0.0
        assert proof.real == 100 - PROGRAM.reach + 1
        assert proof.compared > 512
        assert proof.spoiled > PROGRAM.reach
        assert "equal" in proof.words()
        demand([proof])


def largest(x_NRF, y_N):
    """Wrong for one window only: the one with a spike."""
    return np.where(x_NRF[:, -1].min(-1) >= 10.0, y_N + 0.01, y_N)


def test_an_error_at_one_edge_is_found():
    proof = prove_windows(subject(), lambda x: windows(x, largest), what="w")
    assert 1e-4 < proof.max_error < 0.011
    assert not proof.passed
    with pytest.raises(ParityError, match=r"w: got w: NOT EQUAL .*largest error"):
        demand([proof])


def test_a_number_for_what_is_none_is_found():
    for fault in (lambda x, y: np.nan_to_num(y), lambda x, y: np.where(np.isnan(y) & (np.arange(len(y)) == 5), 1.0, y)):
        proof = prove_windows(subject(), lambda x, f=fault: windows(x, f), what="w")
        assert proof.spoke > 0
        assert not proof.passed


def test_a_stream_that_speaks_too_early_is_found():
    def early(x_TF, y_T):
        y_T[PROGRAM.reach - 2] = 0.0
        return y_T

    proof = prove_stream(subject(), lambda x: series(x, early), what="s")
    assert proof.spoke == 1
    assert not proof.passed


def test_a_stream_that_is_one_row_late_is_found():
    proof = prove_stream(subject(), lambda x: series(x, lambda x_TF, y_T: np.roll(y_T, 1)), what="s")
    assert not proof.passed


def test_silence_and_too_few_answers_are_no_proof():
    silent = prove_windows(subject(), lambda x: np.full(len(x), np.nan), what="w")
    assert not silent.passed
    assert silent.to_json()["max_error"] == "not a number"
    assert not prove_windows(subject(), lambda x: windows(x)[:-1] if len(x) > 300 else windows(x), what="w").passed


def test_real_rows_that_hold_nan_are_left_out_of_the_comparison():
    rows_TF = subject().rows_TF.copy()
    rows_TF[50, 1] = np.nan
    proof = prove_windows(subject(rows_TF=rows_TF), windows, what="w")
    assert proof.passed
    assert proof.real == 100 - PROGRAM.reach + 1 - PROGRAM.reach


def test_sums_that_are_rounded_may_fall_on_the_other_side_but_rarely():
    program = around("quantise", rows=1)  # float weights, so that no sum is exact
    within, share = allowance(program)
    assert within == TOLERANCE
    assert 0 < share < 0.01
    assert allowance(around("conv", rows=1)) == (TOLERANCE, 0.0)

    def proof(flips):
        def run(x_NRF):
            y_N = np.where(np.isfinite(x_NRF).all((1, 2)), run_windows(program, np.nan_to_num(x_NRF)), np.nan)
            y_N[100 : 100 + flips] += 0.0625
            return y_N

        return prove_windows(subject(program=program, network=lambda w: run_windows(program, w)), run, what="w")

    allowed = proof(0).allowed
    assert 1 <= allowed <= 3
    assert proof(allowed).passed
    assert not proof(allowed + 1).passed
    assert proof(allowed).max_error == pytest.approx(0.0625, rel=0.7)
    assert "roundings of sums" in proof(allowed).words()
