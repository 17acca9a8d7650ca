"""The exported folder, fed with candles as they come, forecasts what the study traded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tradenas.data.synthetic import planted
from tradenas.errors import ConfigError, FolderError
from tradenas.formats.base import Options
from tradenas.formats.live import Live
from tradenas.study.exporting import export
from tradenas.study.trained import TrainedStrategy
from tradenas.train.build import usual_move

pytest.importorskip("onnxruntime", reason="pip install 'tradenas[onnx]'")


@pytest.fixture(scope="module")
def done(finished_run, tmp_path_factory):
    return finished_run, export(finished_run, out=tmp_path_factory.mktemp("live")).folder


def test_candles_become_what_was_traded(done):
    run, folder = done
    live = Live.open(folder, engine="onnx")
    strategy = TrainedStrategy.load(run)
    candles = planted("reversal", bars=1800, seed=strategy.folder.config().data.seed).candles
    rows_TC = live.rows(candles)
    zone, data = strategy.zones.selection, strategy.data
    assert np.isnan(rows_TC[: int(np.argmax(data.ready_T)) - 120]).all()
    table = [c["table"] for c in live.card["columns"]]
    ready = np.flatnonzero(data.ready_T)
    np.testing.assert_array_equal(rows_TC[ready], data.x_TF[ready][:, table])
    volatility_T = usual_move(candles)
    said = [live.forecast(live.step(row), volatility=volatility_T[t]) for t, row in enumerate(rows_TC[: zone.stop])]
    jobs = run / "retrain" / "jobs"
    traded_T = np.mean([np.load(jobs / job / "selection.npy") for job in strategy.row["jobs"]], axis=0)
    assert np.abs(np.array(said)[zone.slice] - traded_T).max() < 1e-5 * np.abs(traded_T).max()
    assert np.isnan(said[: live.reach - 1]).all()
    window = rows_TC[zone.start - live.reach + 1 : zone.start + 1]
    assert abs(live.forecast(live.window(window), volatility=volatility_T[zone.start]) - traded_T[0]) < 1e-8


def test_both_engines_say_the_same(done, tmp_path):
    if not shutil.which("gcc"):
        pytest.skip("no gcc; on Debian and Ubuntu: apt-get install gcc")
    run, _ = done
    left = export(run, ["onnx", "c"], options=Options(int8=True), out=tmp_path / "both")
    assert {"window.int8.onnx", "tradenas_net.c"} < {file.name for file in left.files}
    with pytest.raises(ConfigError, match="int8"):
        export(run, ["c"], options=Options(int8=True), out=tmp_path / "c")
    c, onnx = Live.open(tmp_path / "both"), Live.open(tmp_path / "both", engine="onnx")
    assert (c.engine, onnx.engine) == ("c", "onnx")
    rows_TC = c.rows(planted("reversal", bars=400, seed=5).candles)
    whole = np.array([[c.step(row), onnx.step(row)] for row in rows_TC])
    assert np.isnan(whole).any()
    assert np.isfinite(whole).any(axis=0).all()
    np.testing.assert_allclose(whole[:, 0], whole[:, 1], atol=1e-6)
    every_other = np.repeat(rows_TC, 2, axis=1)[-c.reach :, ::2].astype(float)  # neither float32 nor contiguous
    assert c.window(every_other) == pytest.approx(onnx.window(every_other), abs=1e-6)


def test_it_knows_when_it_may_speak(done):
    live = Live.open(done[1], engine="onnx")
    row = np.zeros(len(live.columns), dtype=np.float32)
    spoke = [(live.step(row), live.ready)[1] for _ in range(live.reach + 1)]
    assert spoke == [False] * (live.reach - 1) + [True, True]
    bad = row.copy()
    bad[0] = np.nan
    assert np.isnan(live.step(bad))
    assert [(live.step(row), live.ready)[1] for _ in range(live.reach)] == [False] * (live.reach - 1) + [True]
    live.reset()
    assert not live.ready
    assert np.isnan(live.step(row))


def test_it_refuses_what_it_cannot_do(done, tmp_path):
    run, folder = done
    live = Live.open(folder, engine="onnx")
    with pytest.raises(ConfigError, match="usual_move"):
        live.forecast(0.1)
    with pytest.raises(FolderError, match="--format c"):
        Live.open(folder, engine="c")
    with pytest.raises(ConfigError, match="auto, c or onnx"):
        Live.open(folder, engine="rust")  # type: ignore[arg-type]
    with pytest.raises(FolderError, match=r"card\.json"):
        Live.open(run)
    shutil.copytree(folder, tmp_path / "changed")
    (tmp_path / "changed" / "window.onnx").write_bytes((folder / "stream.onnx").read_bytes())
    with pytest.raises(FolderError, match="another file than the card's"):
        Live.open(tmp_path / "changed")
    export(run, options=Options(window=False), out=tmp_path / "stream")
    with pytest.raises(ConfigError, match="window entry"):
        Live.open(tmp_path / "stream").window(np.zeros((live.reach, len(live.columns)), dtype=np.float32))
    export(run, options=Options(streaming=False), out=tmp_path / "window")
    with pytest.raises(ConfigError, match="streaming entry"):
        Live.open(tmp_path / "window").step(np.zeros(len(live.columns), dtype=np.float32))


def test_columns_that_are_not_of_candles_are_named(done):
    live = Live.open(done[1], engine="onnx")
    card = json.loads(json.dumps(live.card))
    card["columns"][0]["indicator"] = "book_imbalance"
    live.card = card
    with pytest.raises(ConfigError, match="columns of book_imbalance"):
        live.rows(planted("reversal", bars=300).candles)


def test_a_label_without_volatility_needs_none(done):
    live = Live.open(done[1], engine="onnx")
    card = json.loads(json.dumps(live.card))
    card["signal"] |= {"by_volatility": False, "scale": 3.0}
    live.card = card
    assert live.forecast(0.5) == 1.5


def test_it_needs_neither_torch_nor_onnx(done):
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = sys.modules['polars'] = None\n"
        "import numpy as np; from tradenas.formats.live import Live\n"
        "live = Live.open(sys.argv[1], engine='onnx'); row = np.zeros(len(live.columns), np.float32)\n"
        "print([live.step(row) == live.step(row) for _ in range(live.reach)][-1])"
    )
    said = subprocess.run([sys.executable, "-c", code, str(done[1])], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "True"
