"""A study of several markets: from candles to the verdict on their portfolio."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from functools import partial

import polars as pl
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from study.tiny import kill, tiny
from tradenas.cli.app import app
from tradenas.data import write_candles
from tradenas.data.synthetic import planted
from tradenas.errors import ConfigError, FolderError
from tradenas.events import Events
from tradenas.report import VerdictBox, load_record, write_report
from tradenas.study import Study, StudyResult, judging, retraining, searching
from tradenas.study.config import read_config
from tradenas.study.folder import RunFolder
from tradenas.study.market import load_markets, prepare
from tradenas.train.panel import Panel
from tradenas.train.store import load_dataset

PAIR = {"source": "planted:lead_lag", "symbols": "all", "bars": 1800}
LESS = {"top_k": 1, "random": 0, "coupling": 0, "baselines": ["flat", "linear"], "seeds": 2}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A whole study of two markets, begun from the command line."""
    folder = tmp_path_factory.mktemp("panel")
    config = read_config(tiny(data=PAIR, trials={"baselines": ["flat", "hold", "linear"]}))
    (folder / "pair.toml").write_text(config.to_toml())
    words = ["run", str(folder / "pair.toml"), "--runs", str(folder / "runs"), "--json"]
    assert CliRunner().invoke(app, words, prog_name="tradenas").exit_code in (0, 3)
    return next((folder / "runs").iterdir())


def facts(folder, name):
    return json.loads((folder / name).read_text())


def test_a_study_of_two_markets_ends_in_one_verdict(done):
    verdict = facts(done, "verdict.json")
    assert verdict["verdict"] in ("EDGE", "NO EVIDENCE", "NO EDGE")
    assert {"search", "coupling", "causes", "retrain", "tune"} == set(verdict["trials"]["by_stage"])
    assert verdict["trials"]["by_stage"]["tune"] == 1 + 1 + 2 * 2  # linear: two settings, each apart and pooled
    about = facts(done, "data.json")
    assert about["symbol"] == "PLANTED-LEAD-LAG, PLANTED-LEADER"
    assert [m["rows"] for m in about["markets"]] == [1800, 1800]
    panel = load_dataset(done / "data" / "open.safetensors")
    assert isinstance(panel, Panel)
    assert len(panel) == about["zones"]["selection"]["stop"]


def test_the_portfolio_is_the_sum_of_its_markets(done):
    rows = facts(done, "retrain/strategies.json")["strategies"]
    assert {r["name"] for r in rows} > {"finalist 1", "random 1", "hold", "linear"}
    for row in rows:
        for zone in ("selection", "vault"):
            assert [m["symbol"] for m in row["markets"][zone]] == ["PLANTED-LEAD-LAG", "PLANTED-LEADER"]
            for name in ("total_net", "total_gross", "turnover_per_day"):
                assert sum(m[name] for m in row["markets"][zone]) == pytest.approx(row[zone][name], abs=1e-12)
    hold = next(r for r in rows if r["name"] == "hold")
    assert [m["turnover_per_day"] * m["days"] for m in hold["markets"]["vault"]] == pytest.approx([1.0, 1.0])
    daily = pl.read_parquet(done / "retrain" / "daily.parquet").filter(pl.col("zone") == "vault")
    nets = daily.group_by("name").agg(pl.col("net").sum())
    for row in rows:
        told = nets.filter(pl.col("name") == row["name"])["net"][0]
        assert told == pytest.approx(row["vault"]["total_net"], abs=1e-12)


def test_a_result_gives_its_markets_as_a_table(done):
    table = StudyResult.load(done).markets()
    rows = facts(done, "retrain/strategies.json")["strategies"]
    assert len(table) == len(rows) * 2 * 2
    for row in rows:
        own = table.filter((pl.col("name") == row["name"]) & (pl.col("zone") == "vault"))
        assert own["total_net"].sum() == pytest.approx(row["vault"]["total_net"], abs=1e-12)


def test_the_page_has_a_row_for_each_market(done):
    page = write_report(done).read_text(encoding="utf-8")
    section = page[page.index("Markets of the portfolio") :]
    table = section[section.index("<table") :]
    assert 0 < table.index("PLANTED-LEAD-LAG") < table.index("PLANTED-LEADER") < table.index("portfolio")


def test_the_box_says_how_many_markets_there_are(done):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(VerdictBox(load_record(done)))
    text = " ".join(console.export_text().split())
    assert "markets 2, equal shares; the champion earned most in PLANTED-LEAD" in text


def test_a_portfolio_of_one_market_is_the_study_of_that_market(tmp_path):
    name = "PLANTED-LEAD-LAG"
    less = {**LESS, "baselines": ["flat"]}
    one = Study.of(tiny(data={**PAIR, "symbols": (), "symbol": name}, trials=less)).run(tmp_path / "one")
    two = Study.of(tiny(data={**PAIR, "symbols": [name]}, trials=less)).run(tmp_path / "two")
    want, got = (facts(d.folder, "search/candidates.json") for d in (one, two))
    assert kill._timeless(want) == kill._timeless(got)
    ours, theirs = (facts(d.folder, "retrain/strategies.json")["strategies"] for d in (one, two))
    for name in ("finalist 1", "flat"):
        mine, other = (next(r for r in rows if r["name"] == name) for rows in (ours, theirs))
        assert mine["selection"] == other["selection"]
        assert mine["vault"] == other["vault"]
        assert mine["seeds"] == other["seeds"]


def test_a_study_cut_short_in_every_stage_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    study = tiny(data=PAIR, trials={**LESS, "baselines": ["flat"], "seeds": 1})
    whole = Study.of(study).run(tmp_path / "whole")
    plain = type(read_config(study).search).epoch

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def epoch(self, task, state, number):
        return cut() if number == 2 else plain(self, task, state, number)

    monkeypatch.setattr(searching, "run_search", partial(searching.run_search, save_every_s=0.0))
    for place, name, by in (
        (type(read_config(study).search), "epoch", epoch), (retraining, "write_daily", cut), (judging, "ruled", cut),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(place, name, by)
            with pytest.raises(KeyboardInterrupt):
                Study.of(study).run(tmp_path / "cut")
    folder = next((tmp_path / "cut").iterdir())
    assert not (folder / "verdict.json").exists()
    Study.resume(folder)
    assert kill.content(folder) == kill.content(whole.folder)


def test_a_portfolio_by_inverse_volatility_trades_its_shares_and_baselines_know_the_volatility(tmp_path):
    study = {
        **tiny(data=PAIR, trials={**LESS, "seeds": 1, "baselines": ["hold", "reversal"]}),
        "portfolio": {"weights": "inverse_volatility", "rebalance": 12},
        "rule": {"kind": "volatility_target"},
    }
    done = Study.of(study).run(tmp_path)
    rows = {r["name"]: r for r in facts(done.folder, "retrain/strategies.json")["strategies"]}
    assert {"finalist 1", "hold", "reversal"} == set(rows)  # a baseline that cannot be traded would be missing
    assert facts(done.folder, "data.json")["portfolio"] == {"weights": "inverse_volatility", "rebalance": 12}
    hold = rows["hold"]["markets"]["vault"]
    assert all(m["turnover_per_day"] * m["days"] > 1.2 for m in hold)  # in, out, and the shares between


def prepared(study, base, runs):
    """The first stage alone."""
    config = read_config(study)
    folder = RunFolder.create(runs, config, base=base, command="test")
    prepare(folder, config, Events(), base=base)
    return folder


def test_a_file_for_each_market_is_a_source(tmp_path):
    world = planted("lead_lag", bars=400)
    for own, name in ((world.candles, "AAA"), (world.others[0][100:], "BBB")):
        write_candles(replace(own, symbol=name), tmp_path / f"x-{name}.parquet")
    config = read_config({"data": {"source": "x-{symbol}.parquet", "symbols": "all"}}).data
    assert [c.symbol for c, _ in load_markets(config, base=tmp_path)] == ["AAA", "BBB"]
    frames = [pl.read_parquet(tmp_path / f"x-{n}.parquet").with_columns(symbol=pl.lit(n)) for n in ("BBB", "AAA")]
    pl.concat(frames).write_parquet(tmp_path / "both.parquet")
    for symbols, names in (("all", ["AAA", "BBB"]), (["BBB"], ["BBB"])):
        config = read_config({"data": {"source": "both.parquet", "symbols": symbols}}).data
        assert [c.symbol for c, _ in load_markets(config, base=tmp_path)] == names


def test_a_run_is_not_gone_on_with_under_other_candles(tmp_path):
    for own in (planted("lead_lag", bars=1800).candles, *planted("lead_lag", bars=1800).others):
        write_candles(own, tmp_path / f"{own.symbol}.parquet")
    study = tiny(data={**PAIR, "source": "{symbol}.parquet"})
    before = prepared(study, tmp_path, tmp_path / "runs").data.read_bytes()
    assert prepared(study, tmp_path, tmp_path / "runs").data.read_bytes() == before
    other = planted("lead_lag", bars=1800, seed=9).others[0]
    write_candles(other, tmp_path / f"{other.symbol}.parquet")
    with pytest.raises(FolderError, match="other content"):
        prepared(study, tmp_path, tmp_path / "runs")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"symbols": ["A", "A"]}}, "each name once"),
        ({"data": {"symbols": ["A"], "symbol": "A"}}, "one of the two"),
        ({"data": {"symbols": "all"}, "regimes": {"enabled": True}}, "regimes"),
        ({"data": {"symbols": "all"}, "portfolio": {"weights": "best"}}, "portfolio"),
    ],
)
def test_what_a_portfolio_cannot_be(changes, words):
    with pytest.raises(ConfigError, match=words):
        read_config(changes)


def test_a_market_listed_too_late_is_refused(tmp_path):
    world = planted("lead_lag", bars=1800)
    write_candles(world.candles, tmp_path / "A.parquet")
    write_candles(replace(world.others[0], symbol="B")[900:], tmp_path / "B.parquet")
    study = tiny(data={"source": "{symbol}.parquet", "symbols": ["A", "B"]})
    with pytest.raises(ConfigError, match=r"data\.symbols, B"):
        prepared(study, tmp_path, tmp_path / "runs")


def test_studies_of_one_market_keep_their_name():
    """The digest of a study that asks for no portfolio does not know that there are any: its default may change."""
    plain = read_config(tiny())
    object.__setattr__(plain, "portfolio", replace(plain.portfolio, rebalance=7))  # asked for, it would be refused
    assert plain.digest == read_config(tiny()).digest
    several = read_config(tiny(data=PAIR))
    assert several.digest != replace(several, portfolio=replace(several.portfolio, rebalance=7)).digest
