"""`compare` and `watch`: what runs say beside each other, and how far one is."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from cli.test_cli import TINY, call, told
from study.tiny import tiny
from tradenas.cli.watch import follow, glance, spark
from tradenas.errors import ConfigError, FolderError
from tradenas.events import Events
from tradenas.report.compare import compare_runs
from tradenas.stats import superiority
from tradenas.study import Study


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """Two studies of one market that differ in their seed and a setting, with small changes to both vaults."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("runs")
    made = []
    for seed, lookbacks in ((3, [5]), (4, [10])):
        made.append(Study.of(tiny(**TINY, space={"lookbacks": lookbacks}) | {"seed": seed}).run(home).folder)
    return made


def test_figures_and_changed_settings(runs) -> None:
    found = compare_runs(runs)
    assert found.runs == tuple(run.name for run in runs)
    assert found.changed["seed"] == ("3", "4")
    assert found.changed["space.lookbacks"] == ("[5]", "[10]")
    assert "trials.top_k" not in found.changed
    verdicts = tuple(json.loads((run / "verdict.json").read_text())["verdict"] for run in runs)
    assert found.rows["verdict"] == verdicts
    assert all(value != "–" for value in found.rows["trials"])


def test_champions_of_one_market_are_tested_together(runs) -> None:
    (together,) = compare_runs(runs, reps=200, seed=1).together
    import polars as pl

    columns = []
    for run in runs:
        champion = json.loads((run / "verdict.json").read_text())["champion"]["name"]
        daily = pl.read_parquet(run / "retrain" / "daily.parquet")
        columns.append(daily.filter((pl.col("zone") == "vault") & (pl.col("name") == champion)).sort("day"))
    days = set(columns[0]["day"]) & set(columns[1]["day"])
    assert together.days == len(days)
    if together.days < 30:
        assert together.spa_p is None
        return
    kept = [one.filter(pl.col("day").is_in(list(days)))["net"].to_numpy() for one in columns]
    assert together.spa_p == superiority(np.column_stack(kept), reps=200, seed=1).p_consistent


def test_long_vaults_have_a_p_and_short_ones_do_not(runs, monkeypatch) -> None:
    from tradenas.report import compare

    monkeypatch.setattr(compare, "LEAST_DAYS", 8)
    (together,) = compare_runs(runs, reps=100).together
    assert together.spa_p is not None
    assert "Quote this" in together.words
    monkeypatch.setattr(compare, "LEAST_DAYS", 10**6)
    (together,) = compare_runs(runs, reps=100).together
    assert together.spa_p is None
    assert "best of 2 looks" in together.words


def test_only_days_that_all_share_are_tested(runs, tmp_path, monkeypatch) -> None:
    import polars as pl

    from tradenas.report import compare

    monkeypatch.setattr(compare, "LEAST_DAYS", 8)
    copy = shutil.copytree(runs[1], tmp_path / "shorter")
    daily = pl.read_parquet(copy / "retrain" / "daily.parquet")
    days = daily.filter(pl.col("zone") == "vault")["day"].unique().sort()
    gone = (pl.col("zone") == "vault") & pl.col("day").is_in(days[-3:].to_list())
    daily.filter(~gone).write_parquet(copy / "retrain" / "daily.parquet")
    (whole,), (cut,) = compare_runs(runs, reps=100).together, compare_runs([runs[0], copy], reps=100).together
    assert cut.days == whole.days - 3
    assert cut.spa_p is not None


def test_other_markets_are_not_put_together(runs, tmp_path) -> None:
    copy = shutil.copytree(runs[1], tmp_path / "other")
    data = json.loads((copy / "data.json").read_text())
    (copy / "data.json").write_text(json.dumps(data | {"symbol": "OTHER"}))
    assert compare_runs([runs[0], copy]).together == ()


def test_bad_input(runs, tmp_path) -> None:
    with pytest.raises(ConfigError, match="two or more"):
        compare_runs(runs[:1])
    with pytest.raises(ConfigError, match="two or more"):
        compare_runs([runs[0], runs[0]])
    with pytest.raises(FolderError):
        compare_runs([runs[0], tmp_path / "nothing"])


def test_from_the_command_line(runs) -> None:
    code, facts = told("compare", *runs)
    assert code == 0
    assert facts["changed"]["seed"] == ["3", "4"]
    code, out, _ = call("compare", *runs)
    assert "lookbacks" in out
    code, facts = told("watch", runs[0])
    assert facts["verdict"] in ("EDGE", "NO EVIDENCE", "NO EDGE")
    code, out, _ = call("watch", runs[0], "--once")
    assert code == 0
    assert "trials counted" in out


def test_a_run_under_way(runs, tmp_path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    shutil.copy(runs[0] / "study.toml", half)
    events = Events(half / "events.jsonl")
    events.write("begin", stage="search")
    for epoch, loss in enumerate((0.9, 0.7, float("nan"), 0.5)):
        events.write("epoch", stage="search", epoch=epoch, seconds=1.0, loss=loss, tau=0.3)
    events.warn("search", "[bold]learning rate\x1b[31m too low")
    events.write("begin", stage="retrain")
    events.write("job", stage="retrain", id="a", status="ok", error=None)
    events.write("job", stage="retrain", id="b", status="failed", error="x")
    events.write("fail", stage="retrain", error="DivergedError", message="no")
    seen = glance(half, now=Events(half / "events.jsonl").read().__next__()["time"] + 400)
    assert [(s.name, s.state, s.done, s.failed) for s in seen.stages] == [
        ("search", "running", 4, 0), ("retrain", "failed", 2, 1)]  # fmt: skip
    assert seen.losses[:2] == [0.9, 0.7]
    assert seen.log["tau"] == 0.3
    assert seen.verdict is None
    console = Console(width=140, record=True)
    console.print(seen)
    text = console.export_text()
    assert "[bold]learning rate" in text  # as it stands: neither markup nor escape codes do anything
    assert "\x1b[31m" not in text
    assert "nothing has happened for" in text
    assert "DivergedError" in text


def test_networks_that_are_trained_together_are_told_as_such(runs, tmp_path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    shutil.copy(runs[0] / "study.toml", half)
    events = Events(half / "events.jsonl")
    events.write("begin", stage="retrain")
    events.write("working", stage="retrain", ids=["a", "b", "c"])
    (stage,) = glance(half).stages
    assert (stage.done, stage.steps) == (0, "3 at work in 1 stack")
    events.write("working", stage="retrain", ids=["d"])
    events.write("job", stage="retrain", id="a", status="ok", error=None)
    events.write("working", stage="retrain", ids=["b", "c"])  # their worker has died
    (stage,) = glance(half).stages
    assert stage.working == [["d"], ["b", "c"]]
    assert stage.steps == "1, 3 at work in 2 stacks"
    for job in "bcd":
        events.write("job", stage="retrain", id=job, status="ok", error=None)
    (stage,) = glance(half).stages
    assert stage.steps == "4"
    events.write("working", stage="retrain", ids=["e"])
    events.write("fail", stage="retrain", error="KeyboardInterrupt", message="")
    assert glance(half).stages[0].steps == "4"


def test_follow_ends_at_the_verdict(runs) -> None:
    seen = follow(runs[0], every_s=0.01, console=Console(width=100, file=io.StringIO()))
    assert seen.verdict is not None


def test_spark() -> None:
    assert spark([1.0, 1.0]) == "▁▁"
    assert spark([float("nan")]) == ""
    assert len(spark(list(range(100)))) == 40
