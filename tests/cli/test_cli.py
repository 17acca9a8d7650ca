"""The command line as a shell sees it: exit codes, one JSON object on standard output, talk on standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from study.tiny import tiny
from tradenas.cli import actions
from tradenas.cli.app import app
from tradenas.data import write_candles
from tradenas.data.synthetic import planted
from tradenas.study import Study

TINY = {
    "trials": {"top_k": 1, "random": 0, "coupling": 0, "baselines": ["flat", "hold"]},
    "search": {"num_ranked": 4, "find": {"population": 4}},
}


def call(*words):
    """Exit code, standard output and standard error of one command, in this process."""
    result = CliRunner().invoke(app, [str(w) for w in words], prog_name="tradenas")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def told(*words):
    """Exit code and the JSON object, which must be all of standard output."""
    code, out, _ = call(*words, "--json")
    return code, json.loads(out)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a study file, its candles, and its run."""
    folder = tmp_path_factory.mktemp("home")
    write_candles(planted("reversal", bars=1800).candles, folder / "good.parquet")
    (folder / "tiny.toml").write_text(Study.of(tiny(**TINY, data={"source": "good.parquet"})).config.to_toml())
    code, facts = told("run", folder / "tiny.toml", "--runs", folder / "runs", "--set", "trials.reps=120")
    return folder, code, facts


class TestRun:
    def test_a_study_runs_to_its_verdict(self, home):
        _, code, facts = home
        assert code == (0 if facts["verdict"] == "EDGE" else 3)
        assert Path(facts["report"]).exists()
        about = json.loads((Path(facts["folder"]) / "env.json").read_text())
        assert "--set trials.reps=120" in about["command"]
        assert "reps = 120" in (Path(facts["folder"]) / "study.toml").read_text()

    def test_a_network_leaves_with_its_card(self, home):
        pytest.importorskip("onnxruntime", reason="pip install 'tradenas[onnx]'")
        folder, _, facts = home
        code, left = told("export", facts["folder"], "--window", "--batch", "0", "--out", folder / "left")
        assert code == 0
        assert [Path(f["file"]).name for f in left["files"]] == ["window.onnx", "card.json", "card.md"]
        assert [p["passed"] for p in left["proofs"]] == [True, True]
        card = json.loads((folder / "left" / "card.json").read_text())
        assert card["batch"] is None
        assert card["words"].startswith("5 candles")
        said, out, _ = call("export", facts["folder"], "--streaming", "--out", folder / "left2")
        assert said == 0
        assert left["caution"] in out
        assert "onnx stream: equal" in out
        code, fault = told("export", facts["folder"], "--format", "onyx")
        assert (code, fault["error"]) == (2, "ConfigError")
        code, fault = told("export", facts["folder"], "--architecture", "hold")
        assert (code, fault["error"]) == (1, "FolderError")

    def test_resume_and_report_show_the_same(self, home):
        _, code, facts = home
        assert told("resume", facts["folder"]) == (code, facts)
        assert told("report", facts["folder"]) == (code, facts)
        said, out, _ = call("report", facts["folder"])
        assert said == code
        assert facts["verdict"] in out
        assert "index.html" in out

    def test_pictures_that_cannot_be_drawn_say_what_to_install(self, home, monkeypatch):
        monkeypatch.setitem(sys.modules, "resvg_py", None)
        code, fault = told("report", home[2]["folder"], "--png")
        assert (code, fault["error"]) == (1, "MissingExtra")
        assert fault["hint"] == "run: pip install 'tradenas[report]'"
        assert told("report", home[2]["folder"])[0] == home[1]

    def test_looking_again_is_marked(self, home, tmp_path):
        import shutil

        _, code, facts = home
        shutil.copytree(facts["folder"], tmp_path / "copy")
        again, marked = told("resume", tmp_path / "copy", "--open-vault-again")
        assert again == code
        assert "VAULT OPENED 2 TIMES" in marked["watermark"]
        assert facts["watermark"] is None

    def test_cite(self, home):
        _, _, facts = home
        code, entries = told("cite", facts["folder"])
        assert code == 0
        assert any("Single Path One-Shot" in e for e in entries["citations"])
        code, out, _ = call("cite", facts["folder"])
        assert code == 0
        assert out.count("@") == len(entries["citations"]) >= 5

    def test_an_interruption_says_how_to_go_on(self, home, monkeypatch):
        def stop(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(Study, "run", stop)
        code, _, err = call("run", home[0] / "tiny.toml", "--runs", home[0] / "runs")
        assert code == 130
        assert "resume" in err

    @pytest.mark.parametrize(("verdict", "want"), [("EDGE", 0), ("NO EDGE", 3), ("NO EVIDENCE", 3)])
    def test_exit_codes_tell_the_verdict(self, home, tmp_path, verdict, want):
        import shutil

        _, _, facts = home
        shutil.copytree(facts["folder"], tmp_path / "copy")
        file = tmp_path / "copy" / "verdict.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "verdict": verdict}))
        code, said = told("report", tmp_path / "copy")
        assert (code, said["verdict"]) == (want, verdict)


class TestDemo:
    def test_with_settings_changed(self, tmp_path):
        changes = {
            "search.num_ranked": 4, "search.training.epochs": 1, "trials.top_k": 1, "trials.seeds": 1,
            "trials.random": 0, "trials.coupling": 0, "trials.reps": 100, "trials.baselines": '["flat", "hold"]',
            "trials.training.epochs": 1, "trials.tuning_budget": 1, "space.depths": "[1]", "space.widths": "[8]",
            "space.lookbacks": "[5]", "space.ops": '["dense"]', "runner.kind": "inline",
        }  # fmt: skip
        sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
        code, facts = told("demo", "--sample", "sp500", "--runs", tmp_path, *sets)
        assert code in (0, 3)
        assert facts["verdict"] in ("EDGE", "NO EVIDENCE", "NO EDGE")

    def test_an_unknown_sample(self, tmp_path):
        code, fault = told("demo", "--sample", "dax", "--runs", tmp_path)
        assert code == 2
        assert "sp500" in fault["message"]


class TestCheck:
    def test_good_candles(self, home):
        code, facts = told("check", home[0] / "good.parquet")
        assert (code, facts["rows"], facts["ok"]) == (0, 1800, True)
        code, out, _ = call("check", home[0] / "good.parquet")
        assert code == 0
        assert "fit for use" in out
        assert told("check", "sample:sp500")[0] == 0

    def test_bad_candles(self, home, tmp_path):
        bad = tmp_path / "bad.csv"
        bad.write_text(
            "timestamp,open,high,low,close,volume\n"
            + "".join(f"{1_700_000_000_000 + i * 3_600_000},1,2,0.5,{-1 if i == 3 else 1},5\n" for i in range(9))
        )
        code, fault = told("check", bad)
        assert code == 1
        assert fault["error"] == "CandleError"
        assert fault["code"] == 1
        code, out, err = call("check", bad)
        assert (code, out) == (1, "")
        assert "CandleError" in err

    def test_a_missing_file(self, tmp_path):
        code, fault = told("check", tmp_path / "none.parquet")
        assert code in (1, 2)
        assert "none.parquet" in fault["message"]

    def test_a_feature_that_looks_ahead(self, home, tmp_path):
        file = tmp_path / "mine.py"
        file.write_text(
            "import numpy as np\n"
            "def good(candles):\n    return np.r_[0.0, np.diff(np.log(candles.close))]\n"
            "def bad(candles):\n    return np.r_[np.diff(np.log(candles.close)), 0.0]\n"
        )
        code, facts = told("check", home[0] / "good.parquet", "--features", f"{file}:good")
        assert code == 0
        assert facts["feature"] == {"name": f"{file}:good", "start_up_rows": 1}
        code, fault = told("check", home[0] / "good.parquet", "--features", f"{file}:bad")
        assert (code, fault["error"]) == (1, "LookaheadError")
        code, fault = told("check", home[0] / "good.parquet", "--features", f"{file}:none")
        assert code == 2

    def test_a_feature_that_remembers_its_start(self, home, tmp_path):
        file = tmp_path / "slow.py"
        file.write_text(
            "import numpy as np\n"
            "from tradenas.features import feature\n"
            "def sums(candles):\n    return np.cumsum(candles.volume)\n"
            "def average(candles):\n"
            "    out = np.log(candles.close)\n"
            "    for t in range(1, len(out)):\n        out[t] = 0.95 * out[t - 1] + 0.05 * out[t]\n"
            "    return np.log(candles.close) - out\n"
        )
        hasty = tmp_path / "hasty.py"  # by itself: each check imports its file, and a name is taken once
        hasty.write_text(
            file.read_text()
            + "@feature(name='hasty', group='mine', warmup=5)\ndef hasty(candles):\n    return average(candles)\n"
        )
        code, facts = told("check", home[0] / "good.parquet", "--features", f"{file}:average")
        assert code == 0
        rows = facts["feature"]["start_up_rows"]
        assert 40 < rows < 250
        code, fault = told("check", home[0] / "good.parquet", "--features", f"{hasty}:hasty")
        assert code == 2
        assert fault["hint"] == f"declare warmup={rows}"
        code, fault = told("check", home[0] / "good.parquet", "--features", f"{file}:sums")
        assert code == 2
        assert "where the series began" in fault["message"]

    def test_an_unknown_repair(self, home):
        code, fault = told("check", home[0] / "good.parquet", "--repair", "fill_everything")
        assert code == 2
        assert "--repair" in fault["message"]


class TestFaults:
    def test_study_files_with_faults_are_usage_errors(self, tmp_path):
        (tmp_path / "bad.toml").write_text("[serach]\n[trials]\ntopk = 3\n")
        code, fault = told("run", tmp_path / "bad.toml", "--runs", tmp_path)
        assert (code, fault["error"], fault["code"]) == (2, "ConfigError", 2)
        assert "'search'" in fault["message"]
        assert "'top_k'" in fault["message"]
        code, out, err = call("run", tmp_path / "bad.toml", "--runs", tmp_path)
        assert (code, out) == (2, "")
        assert "2 faults" in err

    @pytest.mark.parametrize("verb", ["resume", "report", "cite"])
    def test_a_folder_that_is_no_run(self, tmp_path, verb):
        code, fault = told(verb, tmp_path)
        assert (code, fault["error"]) == (1, "FolderError")

    @pytest.mark.parametrize(
        "words", [["fly"], ["run"], ["run", "a.toml", "--epochs", "3"], ["fetch", "BTCUSDT"], ["run", "a", "--set"]]
    )
    def test_wrong_usage(self, words):
        code, out, _ = call(*words)
        assert (code, out) == (2, "")

    def test_settings_without_a_value(self, home):
        code, fault = told("run", home[0] / "tiny.toml", "--set", "trials.reps")
        assert code == 2
        assert "KEY=VALUE" in fault["message"]

    def test_trouble_with_the_disk_is_one_object_too(self, capsys):
        def full(say):
            raise OSError(28, "No space left on device", "a.json")

        with pytest.raises(typer.Exit) as caught:
            actions.guarded(True, full)
        assert caught.value.exit_code == 1
        out, err = capsys.readouterr()
        assert json.loads(out)["where"] == "a.json"
        assert err == ""
        with pytest.raises(typer.Exit):
            actions.guarded(False, full)
        out, err = capsys.readouterr()
        assert out == ""
        assert "No space left" in err


class TestFetch:
    @pytest.fixture
    def server(self, monkeypatch):
        from data.fake_bybit import FakeBybit
        from tradenas.data import bybit

        with FakeBybit() as running:
            address = f"http://127.0.0.1:{running.server_address[1]}"
            monkeypatch.setattr(bybit, "MAINNET", address)
            monkeypatch.setattr(os, "fsync", lambda handle: None)
            yield running

    def test_candles_come_down_and_are_fit_for_use(self, server, tmp_path):
        words = ["fetch", "BTCUSDT", "--interval", "60", "--start", "2025-01-01", "--end", "2025-01-11",
                 "--out", tmp_path / "btc.parquet", "--store", tmp_path / "store"]  # fmt: skip
        code, facts = told(*words)
        assert (code, facts["rows"]) == (0, 240)
        assert told("check", tmp_path / "btc.parquet")[0] == 0
        code, again = told(*words)
        assert (code, again["rows"]) == (0, 240)

    def test_funding_comes_beside_the_candles_and_a_study_finds_it(self, server, tmp_path):
        words = ["fetch", "BTCUSDT", "--interval", "60", "--start", "2025-01-01", "--end", "2025-01-11",
                 "--out", tmp_path / "btc.parquet", "--store", tmp_path / "candles"]  # fmt: skip
        facts = told(*words)[1]
        assert facts["funding"] == str(tmp_path / "btc-funding.parquet")
        study = tmp_path / "study.toml"
        said = {}
        for where in ("btc-funding.parquet", "bybit"):
            study.write_text(f'[data]\nsource = "btc.parquet"\nfunding = "{where}"\n')
            code, seen = told("check", study)
            assert (code, seen["rows"], seen["beside"][0]["columns"]) == (0, 240, ["funding_rate"])
            said[where] = seen["beside"][0]
        assert said["bybit"].pop("path") == "candles/linear-BTCUSDT-funding/funding.parquet"
        said["btc-funding.parquet"].pop("path")
        assert said["bybit"] == said["btc-funding.parquet"]
        assert said["bybit"]["rows"] == 30
        code, out, _ = call("check", study)
        assert (code, "funding funding_rate: 30 values" in out) == (0, True)
        assert told(*words, "--no-funding")[1]["funding"] is None

    def test_a_study_of_several_markets_is_checked_market_by_market(self, server, tmp_path):
        server.add("linear", "ETHUSDT")
        for symbol in ("BTCUSDT", "ETHUSDT"):
            told("fetch", symbol, "--interval", "60", "--start", "2025-01-01", "--end", "2025-01-11",
                 "--out", tmp_path / f"{symbol}.parquet", "--store", tmp_path / "store")  # fmt: skip
        study = tmp_path / "study.toml"
        study.write_text('[data]\nsource = "{symbol}.parquet"\nsymbols = "all"\nfunding = "{symbol}-funding.parquet"\n')
        code, facts = told("check", study)
        assert (code, facts["ok"]) == (0, True)
        assert [m["symbol"] for m in facts["markets"]] == ["BTCUSDT", "ETHUSDT"]
        paths = [m["beside"][0]["path"] for m in facts["markets"]]
        assert paths == ["BTCUSDT-funding.parquet", "ETHUSDT-funding.parquet"]
        assert told("check", study, "--symbol", "ETHUSDT")[1]["beside"][0]["path"] == "ETHUSDT-funding.parquet"

    def test_a_study_whose_funding_has_a_hole_is_not_fit(self, server, tmp_path):
        import polars as pl

        told("fetch", "BTCUSDT", "--interval", "60", "--start", "2025-01-01", "--end", "2025-01-11",
             "--out", tmp_path / "btc.parquet", "--store", tmp_path / "store")  # fmt: skip
        rates = pl.read_parquet(tmp_path / "btc-funding.parquet")
        pl.concat([rates[:9], rates[10:]]).write_parquet(tmp_path / "holed.parquet")
        (tmp_path / "study.toml").write_text('[data]\nsource = "btc.parquet"\nfunding = "holed.parquet"\n')
        code, fault = told("check", tmp_path / "study.toml")
        assert (code, fault["error"]) == (1, "CandleError")
        assert "none between" in fault["message"]

    def test_a_symbol_that_is_not_there(self, server, tmp_path):
        code, fault = told("fetch", "NOSUCH", "--start", "2025-01-01", "--end", "2025-01-02",
                           "--out", tmp_path / "x.parquet", "--store", tmp_path / "store")  # fmt: skip
        assert code in (1, 2)
        assert "NOSUCH" in fault["message"]
        assert not (tmp_path / "x.parquet").exists()


def test_as_a_shell_calls_it(tmp_path):
    """In a process of its own: exit code and both streams, for a fault and for help."""
    run = [sys.executable, "-c", "from tradenas.cli import main; main()"]
    fault = subprocess.run([*run, "resume", str(tmp_path), "--json"], capture_output=True, text=True, check=False)
    assert fault.returncode == 1
    assert json.loads(fault.stdout)["error"] == "FolderError"
    assert fault.stderr == ""
    usage = subprocess.run([*run, "runn"], capture_output=True, text=True, check=False)
    assert (usage.returncode, usage.stdout) == (2, "")
    help_text = subprocess.run([*run, "--help"], capture_output=True, text=True, check=False)
    assert help_text.returncode == 0
    for verb in ("fetch", "check", "run", "resume", "report", "demo", "cite", "Exit codes"):
        assert verb in help_text.stdout
