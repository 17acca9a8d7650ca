"""`tradenas measure`: a table beside the study, what it says of itself, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from study.tiny import tiny
from tradenas.cli.app import app
from tradenas.cost.latency import Table
from tradenas.study import Study

SMALL = {"depths": [1, 2], "ops": ["dense", "conv3"], "widths": [8, 16], "activations": ["relu"], "norms": ["none"]}


def call(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(w) for w in words], prog_name="tradenas")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("measure") / "small.toml"
    file.write_text(Study.of(tiny(space=SMALL)).config.to_toml())
    return file


def test_a_table_lies_beside_the_study(study: Path) -> None:
    pytest.importorskip("onnx", reason="pip install 'tradenas[onnx]'")
    pytest.importorskip("onnxruntime", reason="pip install 'tradenas[onnx]'")
    code, out, err = call("measure", study, "--backend", "onnxruntime", "--check", "4", "--accept", "--json")
    facts = json.loads(out)
    assert code == 0, out + err
    table = Table.load_file(facts["table"])
    assert facts["table"] == str(study.with_name("small-cpu-1core-onnxruntime.latency.json"))
    assert facts["check"]["nets"] == 4
    assert facts["check"]["mape"] < 0.3
    assert facts["floor"] == table.floor
    assert table.conditions.layout[0] == len(Study.of(study).config.columns)
    assert "timing parts" not in err
    code, out, err = call("measure", study, "--backend", "onnxruntime", "--accept", "--out", study.with_name("t.json"))
    assert code == 0, out + err
    for word in ("probe", "floor", "network", "processor", "p99 / p50"):
        assert word in out
    assert "timing parts" in err


def test_what_is_refused(study: Path) -> None:
    code, _, err = call("measure", study, "--device", "fpga-ice40")
    assert code == 2
    assert "tradenas export --format verilog" in err
    code, _, err = call("measure", study, "--device", "cpu-2core")
    assert code == 2
    assert "id you mean 'cpu-1core'" in err
    code, _, err = call("measure", study, "--backend", "cuda")
    assert code == 2
    assert "expected one of c, onnxruntime, eager" in err
