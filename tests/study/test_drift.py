"""A run goes on with what it began with, or says what changed."""

import json

import pytest

from tradenas.data import sample, write_candles
from tradenas.errors import FolderError
from tradenas.events import Events
from tradenas.nn.half import HalfTable
from tradenas.study.config import read_config
from tradenas.study.folder import RunFolder
from tradenas.study.market import prepare


def begun(tmp_path, source="planted:noise", **more):
    data = {"source": source, "bars": 3000}
    config = read_config({"data": data, "space": {"lookbacks": [5], "depths": [1]}, **more})
    folder = RunFolder.create(tmp_path / "runs", config, base=tmp_path, command="test")
    return config, folder


def test_the_same_machine_goes_on(tmp_path):
    config, folder = begun(tmp_path)
    folder.refuse_drift(config, allow=False)


def test_another_torch_is_refused_and_named(tmp_path):
    config, folder = begun(tmp_path)
    facts = json.loads(folder.environment.read_text())
    folder.environment.write_text(json.dumps({**facts, "torch": "1.0"}))
    with pytest.raises(FolderError, match=r"torch: 1\.0 then"):
        folder.refuse_drift(config, allow=False)
    folder.refuse_drift(config, allow=True)
    assert "torch: 1.0 then" in json.loads(folder.environment.read_text())["drift"][0]


def test_another_engine_is_refused_and_named(tmp_path, monkeypatch):
    """Compiled or not, and by which compiler: last digits, and on noise whole winners, hang on it."""
    monkeypatch.setattr("tradenas.nn.native.engine", lambda: "gcc: 12")
    config, folder = begun(tmp_path)
    folder.refuse_drift(config, allow=False)
    monkeypatch.setattr("tradenas.nn.native.engine", lambda: "PyTorch")
    with pytest.raises(FolderError, match="engine: gcc: 12 then, PyTorch now"):
        folder.refuse_drift(config, allow=False)


def test_trainings_in_bf16_go_on_by_the_table_that_they_began_with(tmp_path, monkeypatch):
    def measured(gain):
        table = HalfTable(gains={("dense", 64, 1024): gain}, machine={})
        monkeypatch.setattr("tradenas.nn.half.half_table", lambda threads: table)
        return table.digest

    digest = measured(1.5)
    config, folder = begun(tmp_path, trials={"training": {"bf16": True}})
    folder.refuse_drift(config, allow=False)
    measured(1.0)
    with pytest.raises(FolderError, match=f"bf16: {digest} then"):
        folder.refuse_drift(config, allow=False)
    assert "bf16" not in json.loads(begun(tmp_path)[1].environment.read_text())


def test_a_changed_candle_file_is_refused(tmp_path):
    candles = sample("sp500")
    write_candles(candles, tmp_path / "sp.parquet")
    config, folder = begun(tmp_path, "sp.parquet")
    prepare(folder, config, Events(), base=tmp_path)
    prepare(folder, config, Events(), base=tmp_path)  # the same file again: nothing to do
    write_candles(candles[:-1], tmp_path / "sp.parquet")
    with pytest.raises(FolderError, match="other content"):
        prepare(folder, config, Events(), base=tmp_path)
    (tmp_path / "sp.parquet").unlink()
    prepare(folder, config, Events(), base=tmp_path)  # everything needed lies in the run folder
