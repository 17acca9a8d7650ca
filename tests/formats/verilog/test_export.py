"""The format: what it refuses, what it leaves, how large that is."""

from __future__ import annotations

import numpy as np
import pytest

from formats.verilog.programs import Chain, deep, rows
from tradenas.errors import ConfigError, UnsupportedOp
from tradenas.formats.base import Options, find_format
from tradenas.formats.ensemble import mean_of
from tradenas.formats.parity import Subject
from tradenas.formats.program import Fixed, Program
from tradenas.formats.reference import run_windows
from tradenas.formats.verilog import tools
from tradenas.formats.verilog.export import FOLDER, gzipped
from tradenas.formats.verilog.write import design, write

pytest.importorskip("da4ml", reason="da4ml is not installed; run: pip install 'tradenas[fpga]'")

NO_SIMULATOR = tools.missing("verilator", "make", "g++")


def subject(*programs: Program, count: int = 60) -> Subject:
    program, series_TF = mean_of(programs), rows(count).astype(np.float32)
    series_TF[3, 1] = np.nan
    return Subject(
        program=program, network=lambda x_NRF: run_windows(program, x_NRF.astype(float)), rows_TF=series_TF,
        calibration_TF=series_TF, labels_T=np.zeros(count), programs=programs,
    )  # fmt: skip


def test_unproved_it_says_so(tmp_path):
    found = find_format("verilog")(subject(deep()), Options(prove="none"), tmp_path)
    assert found.proofs == ()
    assert any("not simulated" in note for note in found.notes)
    assert any("LGPL" in note for note in found.notes)
    assert found.facts["verilog"]["mode"] == "streaming"
    assert {f.parent.name for f in found.files} == {FOLDER, "static"}


def test_only_a_window_is_a_window_core(tmp_path):
    small = Chain(3).end("in")
    found = find_format("verilog")(subject(small), Options(prove="none", streaming=False), tmp_path)
    assert found.facts["verilog"]["mode"] == "window"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(bool(NO_SIMULATOR), reason=NO_SIMULATOR)
def test_it_is_proved_against_the_networks(tmp_path):
    (proof,) = find_format("verilog")(subject(deep(), deep(), count=300), Options(), tmp_path).proofs
    assert proof.passed
    assert proof.compared > 250


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (Options(batch=4), "batch.*one core for each series"),
        (Options(int8=True), "int8.*space.weight_bits"),
        (Options(prove="twice"), "prove.*none, simulate, synthesise, route"),
    ],
)
def test_what_it_cannot_do_is_refused(options, match, tmp_path):
    with pytest.raises(ConfigError, match=match):
        find_format("verilog")(subject(deep()), options, tmp_path)


def test_a_mean_of_three_is_refused_with_a_way_out(tmp_path):
    with pytest.raises(UnsupportedOp, match=r"3 of them.*--seed-index 0"):
        find_format("verilog")(subject(deep(), deep(), deep()), Options(prove="none"), tmp_path)


def test_two_thousand_parameters_are_less_than_sixty_kilobytes(tmp_path):
    c = Chain(11, columns=8)
    x = "in"
    for layer in range(3):
        x = c.taps(f"c{layer}", x, 16, (2, 1, 0), zeros=0.5)
        x = c.quantise(f"q{layer}", c.point(f"r{layer}", x, "relu"), Fixed(0, 2, 3))
    program = c.end(x)
    assert program.parameters > 1_900
    write(design(program), tmp_path, rows(20, columns=8))
    assert gzipped(tmp_path) < 60_000
