"""From candles to verdict in one folder: the same whoever works, however often begun, and blind to later zones."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from study.tiny import kill, tiny
from tradenas.atomic import sha256_file
from tradenas.data import write_candles
from tradenas.data.synthetic import planted
from tradenas.errors import FolderError, VaultError
from tradenas.report import write_report
from tradenas.study import Study, StudyResult, judging, retraining
from tradenas.study.folder import RunFolder
from tradenas.trials.ledger import Ledger


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A study that ran in this process."""
    return Study.of(tiny()).run(tmp_path_factory.mktemp("inline"), command="test")


def facts(folder, name):
    return json.loads((folder / name).read_text())


def test_a_result_as_tables_and_as_a_card(done):
    again = StudyResult.load(done.folder)
    assert again.facts == done.facts
    table = done.strategies()
    assert set(table["zone"]) == {"selection", "vault"}
    champion = done.facts["champion"]["name"]
    row = table.filter((pl.col("name") == champion) & (pl.col("zone") == "vault"))
    assert row["sharpe"].item() == done.facts["net_sharpe"]["value"]
    daily = done.daily()
    own = daily.filter((pl.col("name") == champion) & (pl.col("zone") == "vault"))
    assert own["net"].sum() == pytest.approx(row["total_net"].item())
    assert daily["day"].dtype == pl.Date
    hostile = replace(done, facts={**done.facts, "why": ["<script>alert(1)</script>"], "watermark": "<b>x"})
    card = hostile._repr_html_()
    assert "<script>" not in card
    assert "&lt;script&gt;" in card
    assert "&lt;b&gt;x" in card
    assert done.verdict in card
    assert champion in card
    with pytest.raises(FolderError):
        StudyResult.load(done.folder / "nowhere")


def test_everything_is_there(done):
    folder = done.folder
    assert done.verdict in ("EDGE", "NO EVIDENCE", "NO EDGE")
    assert done.exit_code == (0 if done.verdict == "EDGE" else 3)
    assert folder.name == f"tiny-{RunFolder(folder).config().digest}"
    found = facts(folder, "search/candidates.json")
    assert found["num_scored"] == len(found["candidates"]) == 10
    assert [c["rank"] for c in found["candidates"]] == list(range(1, 11))
    assert found["metric"] == RunFolder(folder).config().rank_by == "rank_ic"
    merits = [c["scores"]["rank_ic"] for c in found["candidates"]]
    assert merits == sorted(merits, reverse=True)
    assert found["trace"][-1] == {"scored": 10, "best": merits[0]}
    rows = facts(folder, "retrain/strategies.json")["strategies"]
    assert [r["kind"] for r in rows] == ["finalist", "finalist", "random", "baseline", "baseline", "baseline"]
    assert all(r["vault"] is not None for r in rows)
    assert all(len(r["seeds"]) == (1 if r["kind"] == "baseline" else 2) for r in rows)
    assert all(s["vault"] is not None for r in rows for s in r["seeds"])
    top = [c["digest"] for c in found["candidates"]]
    assert rows[0]["digest"] == top[0]
    assert rows[1]["digest"] in top
    assert rows[2]["digest"] not in {rows[0]["digest"], rows[1]["digest"]}
    assert facts(folder, "coupling.json")["num"] == 3
    verdict = facts(folder, "verdict.json")
    assert verdict["watermark"] is None
    assert verdict["trials"]["by_stage"] == {"search": 10, "coupling": 3, "causes": 9, "retrain": 6, "tune": 3}
    assert verdict["trials"]["total"] == 31


def test_the_report_is_written_from_the_folder(done):
    page = write_report(done.folder)
    assert page.stat().st_size > 10_000
    assert done.verdict in page.read_text(encoding="utf-8")


def test_each_zone_has_its_days_and_each_strategy_every_day(done):
    import polars as pl

    daily = pl.read_parquet(done.folder / "retrain" / "daily.parquet")
    names = [r["name"] for r in facts(done.folder, "retrain/strategies.json")["strategies"]]
    last = {}
    for zone in ("selection", "vault"):
        part = daily.filter(pl.col("zone") == zone)
        assert part["name"].unique(maintain_order=True).to_list() == names
        days = [part.filter(pl.col("name") == n)["day"].to_list() for n in names]
        assert all(d == days[0] == sorted(set(d)) for d in days)
        last[zone] = days[0]
    assert last["selection"][-1] < last["vault"][0]
    flat = daily.filter(pl.col("name") == "flat")
    assert flat["net"].to_list() == [0.0] * len(flat)


def test_running_it_again_does_nothing(done):
    before = kill.content(done.folder)
    times = {p: p.stat().st_mtime_ns for p in done.folder.rglob("*.json")}
    again = Study.of(tiny()).run(done.folder.parent)
    assert again.folder == done.folder
    assert Study.resume(done.folder).facts == done.facts
    assert kill.content(done.folder) == before
    assert {p: p.stat().st_mtime_ns for p in done.folder.rglob("*.json")} == times


def test_two_workers_find_what_one_process_finds(tmp_path):
    less = {"top_k": 1, "random": 0, "coupling": 0, "baselines": ["flat"]}
    one = Study.of(tiny(trials=less)).run(tmp_path / "one")
    two = Study.of(tiny(trials=less, runner={"kind": "process", "workers": 2})).run(tmp_path / "two")
    want, got = kill.content(one.folder), kill.content(two.folder)
    assert {k for k in want if want[k] != got[k]} == {"study.toml"}  # which names the runner
    assert two.facts == one.facts


def test_another_seed_finds_something_else(done, tmp_path):
    other = Study.of(tiny(seed=4)).run(tmp_path)
    want, got = kill.content(done.folder), kill.content(other.folder)
    assert {"search/candidates.json", "retrain/strategies.json", "supernet", "ledger"} <= {
        k for k in want if want[k] != got[k]
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same study on the same candles, and on candles that differ from a later zone on."""
    base = tmp_path_factory.mktemp("blind")
    candles = planted("reversal", bars=1800).candles
    zones = None
    found = {}
    for name in ("plain", "vault", "selection"):
        home = base / name
        home.mkdir()
        start = {"plain": len(candles), "vault": zones and zones["vault"]["start"],
                 "selection": zones and zones["selection"]["start"]}[name]  # fmt: skip
        write_candles(mixed(candles, start), home / "candles.parquet")
        (home / "study.toml").write_text(Study.of(tiny(data={"source": "candles.parquet"})).config.to_toml())
        found[name] = Study.of(home / "study.toml").run(home / "runs").folder
        zones = facts(found["plain"], "data.json")["zones"]
    return found


class TestBlindness:
    """Rows of a later zone are replaced by those of another world: nothing decided before may change."""

    def test_the_search_sees_neither_selection_nor_vault(self, runs):
        for part in ("search/candidates.json", "coupling.json", "supernet"):
            parts = [kill.content(folder)[part] for folder in runs.values()]
            assert len(set(parts)) == 1, part
        tunes = []
        for folder in runs.values():
            with Ledger(folder / "ledger.db") as ledger:
                tunes.append([(t.stage, t.key, t.scores) for t in ledger.trials() if t.stage != "retrain"])
        assert tunes[0] == tunes[1] == tunes[2]

    def test_the_selection_does_not_see_the_vault(self, runs):
        def selected(folder):
            rows = facts(folder, "retrain/strategies.json")["strategies"]
            return [{**r, "vault": 0, "seeds": [s["selection"] for s in r["seeds"]], "jobs": 0} for r in rows]

        assert selected(runs["plain"]) == selected(runs["vault"])
        assert selected(runs["plain"]) != selected(runs["selection"])
        assert (
            facts(runs["plain"], "verdict.json")["champion"] == facts(runs["vault"], "verdict.json")["champion"]
        )  # fmt: skip

    def test_and_the_vault_does_look_at_its_own_rows(self, runs):
        vaults = [
            [r["vault"] for r in facts(runs[n], "retrain/strategies.json")["strategies"]] for n in ("plain", "vault")
        ]
        assert vaults[0] != vaults[1]

    def test_job_inputs_of_the_search_and_selection_hold_no_row_of_the_vault(self, runs):
        """Their dataset is named by the hash of the open file, which another vault does not change."""
        files = [RunFolder(runs[n]).open_rows.read_bytes() for n in ("plain", "vault")]
        assert files[0] == files[1]
        specs = []
        for folder in runs.values():
            database = sqlite3.connect(folder / "ledger.db")
            specs.append({s for (s,) in database.execute("SELECT spec FROM jobs") if "speak" not in s})
            database.close()
        sealed = {sha256_file(RunFolder(folder).all_rows) for folder in runs.values()}
        fits = [[s for s in some if json.loads(s)["kind"] in ("fit_network", "tune_baseline")] for some in specs]
        assert len(fits[0]) > 5
        assert not any(digest in s for some in fits for s in some for digest in sealed)


def mixed(candles, start):
    """The candles up to a row, and those of another world from there on."""
    other = planted("noise", bars=len(candles), seed=77).candles
    rows = np.arange(len(candles)) < start
    columns = {
        n: np.where(rows, getattr(candles, n), getattr(other, n)) for n in ("open", "high", "low", "close", "volume")
    }
    four = np.stack([columns[n] for n in ("open", "high", "low", "close")])
    return type(candles).from_arrays(
        symbol=candles.symbol, interval_ms=candles.interval_ms, calendar=candles.calendar,
        open_time=candles.open_time, turnover=None, **{**columns, "low": four.min(axis=0), "high": four.max(axis=0)},
    )  # fmt: skip


class TestVault:
    @pytest.fixture
    def copy(self, done, tmp_path):
        shutil.copytree(done.folder, tmp_path / done.folder.name)
        return tmp_path / done.folder.name

    def other_champion(self, folder):
        """As if somebody had chosen another champion after a look at the vault."""
        record = facts(folder, "retrain/strategies.json")
        first, second = record["strategies"][:2]
        first["selection"]["sharpe"], second["selection"]["sharpe"] = (
            min(first["selection"]["sharpe"], second["selection"]["sharpe"]) - 1.0,
            max(first["selection"]["sharpe"], second["selection"]["sharpe"]) + 1.0,
        )
        if facts(folder, "verdict.json")["champion"]["name"] == "finalist 2":
            first["selection"], second["selection"] = second["selection"], first["selection"]
        (folder / "retrain" / "strategies.json").write_text(json.dumps(record))
        (folder / "verdict.json").unlink()

    def test_a_second_judgement_is_refused(self, copy):
        self.other_champion(copy)
        with pytest.raises(VaultError, match=r"1 look\(s\) before"):
            Study.resume(copy)
        assert not (copy / "verdict.json").exists()

    def test_or_watermarked_for_good(self, copy, done):
        self.other_champion(copy)
        result = Study.resume(copy, open_vault_again=True)
        assert "VAULT OPENED 2 TIMES" in result.facts["watermark"]
        assert result.facts["champion"] != done.facts["champion"]
        assert "VAULT OPENED 2 TIMES" in write_report(copy).read_text(encoding="utf-8")
        assert "VAULT OPENED 2 TIMES" in Study.resume(copy).facts["watermark"]

    def test_looking_again_at_the_same_is_on_record_too(self, copy):
        result = Study.resume(copy, open_vault_again=True)
        assert "VAULT OPENED 2 TIMES" in result.facts["watermark"]
        assert Study.resume(copy).facts["watermark"] == result.facts["watermark"]

    def test_a_look_that_died_leaves_no_verdict_without_its_mark(self, copy, monkeypatch):
        """Killed after the second look was stamped: the old verdict must not be shown as if it never was."""

        def die(*_args, **_kwargs):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(judging, "speak_in_vault", die)
            with pytest.raises(KeyboardInterrupt):
                Study.resume(copy, open_vault_again=True)
        assert "VAULT OPENED 2 TIMES" in Study.resume(copy).facts["watermark"]

    def test_a_judgement_that_died_is_taken_up_without_a_mark(self, copy, done, monkeypatch):
        (copy / "verdict.json").unlink()
        with monkeypatch.context() as patch:
            patch.setattr(judging, "ruled", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                Study.resume(copy)
        assert Study.resume(copy).facts == done.facts
        assert kill.content(copy) == kill.content(done.folder)


def test_a_finalist_that_cannot_be_trained_is_a_failed_trial(tmp_path, monkeypatch):
    """One diverging network is told in the ledger, and the study goes on without it."""
    real = retraining.Bench.together

    def broken(self, outcomes, name):
        voices = real(self, outcomes, name)
        if name == "selection" and not hasattr(retraining, "_spoilt"):
            monkeypatch.setattr(retraining, "_spoilt", True, raising=False)
            voices[0].signal_T[:] = np.nan
        return voices

    monkeypatch.setattr(retraining.Bench, "together", broken)
    result = Study.of(tiny()).run(tmp_path)
    rows = facts(result.folder, "retrain/strategies.json")["strategies"]
    assert [r["name"] for r in rows if r["kind"] == "finalist"] == ["finalist 2"]
    with Ledger(result.folder / "ledger.db") as ledger:
        failed = [t for t in ledger.trials("retrain") if t.error]
    assert [t.key for t in failed] == ["finalist 1"]
    assert result.facts["champion"]["name"] == "finalist 2"


def test_the_control_runs_the_same_way(tmp_path):
    study = tiny(search={"kind": "random_search", "num_trained": 4})
    for key in ("num_ranked", "find"):
        del study["search"][key]
    result = Study.of(study).run(tmp_path)
    assert facts(result.folder, "search/candidates.json")["method"] == "random_search"
    assert facts(result.folder, "coupling.json")["num"] == 0
    assert result.facts["trials"]["by_stage"]["search"] == 4


def test_a_run_begun_elsewhere_finds_its_candles(tmp_path, monkeypatch):
    """Killed before the candles were read: a resume from another folder must look where the study file lies."""
    home, runs = tmp_path / "home", tmp_path / "runs"
    home.mkdir()
    write_candles(planted("reversal", bars=1800).candles, home / "candles.parquet")
    (home / "study.toml").write_text(Study.of(tiny(data={"source": "candles.parquet"})).config.to_toml())
    study = Study.of(home / "study.toml")
    folder = RunFolder.create(runs, study.config, base=study.base, command="test")
    monkeypatch.chdir(tmp_path)
    assert Study.resume(folder.path).folder == folder.path
