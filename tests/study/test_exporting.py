"""What leaves a run is what was traded, on record: files, proofs, card."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from study.conftest import FEW
from study.tiny import tiny
from tradenas.errors import ConfigError, FolderError, ParityError
from tradenas.formats.base import FORMATS, Options, Written, find_format
from tradenas.formats.parity import windows_of
from tradenas.study import Study
from tradenas.study.exporting import export, prove_traded, subject_of
from tradenas.study.trained import TrainedStrategy
from tradenas.trials.ledger import Ledger

pytest.importorskip("onnxruntime", reason="pip install 'tradenas[onnx]'")
from tradenas.formats.onnx_file import signals_of_series
from tradenas.formats.runtime import session


@pytest.fixture
def done(finished_run):
    return finished_run


def stored(run, name):
    rows = json.loads((run / "retrain" / "strategies.json").read_text())["strategies"]
    jobs = next(r for r in rows if r["name"] == name)["jobs"]
    return [np.load(run / "retrain" / "jobs" / job / "selection.npy") for job in jobs]


def test_the_files_say_what_was_traded(done):
    left = export(done, options=Options(int8=True))
    assert left.folder == done / "export" / "finalist-1"
    assert {f.name for f in left.files} == {"window.onnx", "stream.onnx", "window.int8.onnx", "card.json", "card.md"}
    assert all(proof.passed for proof in left.proofs)
    assert [p.what for p in left.proofs] == ["networks on windows", "onnx window", "onnx stream"]
    card = json.loads((left.folder / "card.json").read_text())
    strategy = TrainedStrategy.load(done)
    zone, reach = strategy.zones.selection, card["program"]["reach"]
    x_TF = strategy.data.x_TF[zone.start - reach + 1 : zone.stop, [c["table"] for c in card["columns"]]]
    said_T = signals_of_series(session(str(left.folder / "stream.onnx")), x_TF)[reach - 1 :]
    volatility_T = strategy.data.volatility_T[zone.slice] if card["signal"]["by_volatility"] else 1.0
    traded_T = np.mean(stored(done, "finalist 1"), axis=0)
    assert np.abs(said_T * card["signal"]["scale"] * volatility_T - traded_T).max() < 1e-5 * np.abs(traded_T).max()


def test_a_look_at_the_8_bit_file_is_a_trial(done):
    """Once for each file, however often it is written."""
    for _ in range(2):
        left = export(done, options=Options(int8=True))
    told = json.loads((left.folder / "card.json").read_text())["facts"]["onnx"]["int8"]
    export(done)  # what is equal to the traded network has no score of its own
    with Ledger(done / "ledger.db") as ledger:
        found = ledger.trials("export")
    assert [t.scores for t in found] == [{"ic": round(told["ic_int8"], 4)}]
    assert found[0].digest == TrainedStrategy.load(done).row["digest"]


def test_the_card_says_it_all(done):
    left = export(done, describe=lambda architecture: f"{len(architecture)} choices")
    card = json.loads((left.folder / "card.json").read_text())
    assert card["columns"][0]["meaning"] in ("Log return of the last bar", "Relative strength index of 14 bars")
    assert card["columns"][0]["window"] == 20
    assert card["words"].endswith("choices")
    assert card["seeds"] == 2
    assert card["champion"]
    assert card["verdict"] in ("EDGE", "NO EVIDENCE", "NO EDGE")
    assert card["caution"] == left.caution
    assert len(card["proofs"]) == 3
    page = (left.folder / "card.md").read_text()
    assert f"**{card['verdict']}.**" in page
    assert card["signal"]["words"] in page
    for column in card["columns"]:
        assert f"`{column['name']}`" in page
    assert all(f"{f['bytes']:,} bytes" in page for f in card["files"]["onnx"])
    random = export(done, strategy="random 1")
    assert "never judged" in random.caution
    assert random.folder.name == "random-1"


@pytest.mark.slow
@pytest.mark.parametrize(
    "sections",
    [
        {"space": {"kind": "cell", "cells": [1, 2], "nodes": 2, "widths": [4], "norms": ["none", "batch"],
                   "lookbacks": [5], "ops": ["zero", "skip", "conv3", "gru", "attention", "max5", "ema4"]}},
        {"target": {"kind": "direction"}},
        {"space": {**tiny()["space"], "norms": ["none"], "weight_bits": ["4", "6"], "activation_bits": ["6"]}},
        {"space": {**tiny()["space"], "norms": ["none"], "weight_bits": ["float"], "activation_bits": ["6"]}},
        {"space": {**tiny()["space"], "column_ops": ["zscore", "rank", "drop"], "transforms": ["zscore"]}},
    ],
    ids=["cell", "direction", "fixed_point", "rounded", "columns"],
)  # fmt: skip
def test_studies_of_every_kind_leave(sections, tmp_path):
    run = Study.of({**tiny(trials=FEW), **sections}).run(tmp_path).folder
    for strategy in ("finalist 1", "random 1"):
        for k in (None, 0):
            left = export(run, ["onnx", "c"], strategy=strategy, seed_index=k)
            assert all(proof.passed for proof in left.proofs)
            if "weight_bits" in sections.get("space", {}) and sections["space"]["weight_bits"] != ["float"]:
                assert [p.tolerance for p in left.proofs[:3]] == [1e-12, 0.0, 0.0]


def test_one_training_may_leave_alone(done, tmp_path):
    left = export(done, seed_index=1, options=Options(window=False), out=tmp_path / "one")
    assert {f.name for f in left.files} == {"stream.onnx", "card.json", "card.md"}
    card = json.loads((tmp_path / "one" / "card.json").read_text())
    strategy = TrainedStrategy.load(done)
    x_TF = strategy.data.x_TF[:, [c["table"] for c in card["columns"]]]
    said_T = signals_of_series(session(str(tmp_path / "one" / "stream.onnx")), x_TF)[strategy.zones.selection.slice]
    volatility_T = strategy.data.volatility_T[strategy.zones.selection.slice]
    traded_T = stored(done, "finalist 1")[1]
    assert np.abs(said_T * card["signal"]["scale"] * volatility_T - traded_T).max() < 1e-5 * np.abs(traded_T).max()


def test_what_was_not_traded_is_not_called_traded(done):
    """The first link: a network that changed after the run is found out, before anything is written."""
    strategy = TrainedStrategy.load(done)
    with torch.no_grad():
        strategy.fitted[1].network.inputs.taps += 0.01
    proof = prove_traded(strategy, subject_of(strategy, (0, 1)), (0, 1))
    assert not proof.passed
    assert proof.compared > 100


def test_long_zones_are_compared_at_places_spread_over_them(done, monkeypatch):
    strategy = TrainedStrategy.load(done)
    subject = subject_of(strategy, (0, 1))
    all_of_them = prove_traded(strategy, subject, (0, 1)).compared
    monkeypatch.setattr("tradenas.study.exporting.MOST", 50)
    few = prove_traded(strategy, subject, (0, 1))
    assert (few.compared, few.passed) == (50, True)
    assert all_of_them > 300


def test_a_format_that_writes_something_else_is_refused(done, tmp_path, monkeypatch):
    onnx = find_format("onnx")

    def wrong(subject, options, folder) -> Written:
        written = onnx(subject, options, folder)
        return replace(written, proofs=tuple(replace(p, max_error=0.1) for p in written.proofs))

    monkeypatch.setitem(FORMATS._known, "wrong", wrong)
    export(done, out=tmp_path / "wrong")
    assert (tmp_path / "wrong" / "card.json").exists()
    with pytest.raises(ParityError, match="onnx window"):
        export(done, ["wrong"], out=tmp_path / "wrong")
    assert not (tmp_path / "wrong" / "card.json").exists()
    assert (tmp_path / "wrong" / "window.onnx").exists()


def test_wrong_words_are_told(done):
    with pytest.raises(ConfigError, match=r"format: got 'onx', expected one of .*onnx.*Did you mean 'onnx'"):
        export(done, ["onx"])
    with pytest.raises(ConfigError, match="0 to 1"):
        export(done, seed_index=2)
    with pytest.raises(FolderError, match="finalist 1"):
        export(done, strategy="finalist 9")
    with pytest.raises(ConfigError, match="--window"):
        export(done, options=Options(window=False, int8=True))


def test_calibration_sees_training_rows_only(done):
    strategy = TrainedStrategy.load(done)
    subject = subject_of(strategy, (0,))
    assert subject.programs == (subject.program,) == strategy.programs[:1]
    span = strategy.zones.search
    columns = list(subject.program.columns)
    assert np.array_equal(subject.calibration_TF, strategy.data.x_TF[span.start : span.stop, columns])
    assert len(windows_of(subject.rows_TF, subject.program.reach)) == len(strategy.zones.selection)


def test_facts_of_a_format_are_a_list_a_person_can_read():
    from tradenas.formats.card import _listed

    facts = {"cycles": 7, "estimated": {"luts": 41, "by": "da4ml"}, "x": [{"bits": [7, 0]}, {"bits": [15, 8]}]}
    assert _listed(facts) == [
        "- cycles: 7", "- estimated: luts 41, by da4ml", "- x", "  - bits [7, 0]", "  - bits [15, 8]",
    ]  # fmt: skip
    assert _listed({"verilog": {"estimated": {"luts": 1.23456}}}) == ["- verilog", "  - estimated: luts 1.235"]
