"""A run folder is read whole, or the file that is wrong is named."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from report.fake_run import build
from tradenas.errors import FolderError
from tradenas.report.record import READS, load_record

STAGES = (
    "search/candidates.json",
    "retrain/strategies.json",
    "retrain/daily.parquet",
    "coupling.json",
    "verdict.json",
    "ledger.db",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return build(tmp_path_factory.mktemp("run") / "r", days=40, num_points=12)


@pytest.fixture
def run(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "run"))


def rewrite(path: Path, **changes) -> None:
    value = json.loads(path.read_text())
    value.update(changes)
    path.write_text(json.dumps(value))


def test_everything_is_read(whole):
    record = load_record(whole)
    assert record.champion.name == "finalist-1"
    assert record.best_baseline.kind == "baseline"
    assert record.hold.name == "hold"
    assert record.zone == "vault"
    assert len(record.daily.of("hold")) == 80
    assert record.ledger.total == 212
    assert record.ledger.looks == 1
    assert record.verdict.trials.by_stage["search"] == 200
    assert record.data.zones.search.stop > 0
    assert record.watermark is None
    with pytest.raises(AttributeError):
        record.folder = Path("elsewhere")


@pytest.mark.parametrize("name", ["env.json", "data.json", "study.toml"])
def test_a_folder_without_its_first_files_is_refused_by_name(run, name):
    (run / name).unlink()
    with pytest.raises(FolderError, match=re.escape(name)):
        load_record(run)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_not_reached_is_none(run, name):
    (run / name).unlink()
    record = load_record(run)
    field = {"candidates": "search", "ledger": "ledger"}.get(Path(name).stem, Path(name).stem)
    assert getattr(record, field) is None


@pytest.mark.parametrize("name", ["env.json", "data.json", "study.toml", *STAGES])
def test_a_torn_file_is_named(run, name):
    data = (run / name).read_bytes()
    (run / name).write_bytes(data[: len(data) // 2] + b"\xff = [")
    with pytest.raises(FolderError, match=re.escape(name)):
        load_record(run)


def test_an_absent_folder(tmp_path):
    with pytest.raises(FolderError, match="no such folder"):
        load_record(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("verdict.json", {"psr": "high"}, r"verdict\.json: psr.*'high'.*number"),
        ("verdict.json", {"net_sharpe": {"value": [1]}}, r"net_sharpe: value"),
        ("verdict.json", {"verdict": None}, r"verdict\.json: verdict"),
        ("verdict.json", {"why": "because"}, "a list"),
        ("data.json", {"rows": 1.5}, "whole number"),
        ("data.json", {"zones": {"vault": {"start": 1}}}, "vault: stop.*no such key"),
        ("coupling.json", {"points": [{"digest": 3}]}, r"points\[0\]: digest"),
        ("search/candidates.json", {"candidates": [[]]}, r"candidates\[0\].*an object"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(run, name, changes, words):
    rewrite(run / name, **changes)
    with pytest.raises(FolderError, match=words):
        load_record(run)


def test_numbers_must_be_finite(run):
    text = (run / "verdict.json").read_text()
    (run / "verdict.json").write_text(re.sub(r'"psr": [0-9.]+', '"psr": 1e999', text))
    with pytest.raises(FolderError, match=r"psr.*finite"):
        load_record(run)


def test_keys_of_a_later_version_are_left_out(run):
    rewrite(run / "verdict.json", calibration={"brier": 0.2})
    assert load_record(run).verdict.verdict == "EDGE"


def test_a_newer_folder_is_refused_and_an_older_one_read(run):
    rewrite(run / "env.json", tradenas=f"{READS[0]}.{READS[1] + 1}.0")
    with pytest.raises(FolderError, match="Upgrade tradenas"):
        load_record(run)
    rewrite(run / "env.json", tradenas="0.0.9")
    assert load_record(run).environment.tradenas == "0.0.9"
    rewrite(run / "env.json", tradenas="banana")
    with pytest.raises(FolderError, match="banana"):
        load_record(run)


def test_this_version_reads_its_own_folders():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert tuple(int(part) for part in project["version"].split(".")[:2]) <= READS


def test_two_strategies_of_one_name_are_refused(run):
    path = run / "retrain" / "strategies.json"
    value = json.loads(path.read_text())
    value["strategies"][1]["name"] = value["strategies"][0]["name"]
    path.write_text(json.dumps(value))
    with pytest.raises(FolderError, match=r"finalist-1.*twice"):
        load_record(run)


def test_daily_rows_are_checked(run):
    import pyarrow.parquet as pq

    path = run / "retrain" / "daily.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["gross"]), path)
    with pytest.raises(FolderError, match="no column gross"):
        load_record(run)
    columns = table.to_pydict()
    columns["net"][3] = float("nan")
    pq.write_table(type(table).from_pydict(columns), path)
    with pytest.raises(FolderError, match="net row 3"):
        load_record(run)
    columns = table.to_pydict()
    columns["day"][1] = columns["day"][0]
    pq.write_table(type(table).from_pydict(columns), path)
    with pytest.raises(FolderError, match="a day twice for 'finalist-1' in selection"):
        load_record(run)


def test_before_the_verdict_the_leader_of_the_selection_zone_stands_in(run):
    (run / "verdict.json").unlink()
    record = load_record(run)
    finalists = [s for s in record.strategies if s.kind == "finalist"]
    assert record.champion == max(finalists, key=lambda s: s.selection.sharpe)
    assert record.best_baseline.kind == "baseline"


def test_a_cost_free_run_knows_it(tmp_path):
    record = load_record(build(tmp_path / "r", taker_bps=0.0, days=20, num_points=4))
    assert record.cost_free
    assert "COST-FREE" in record.watermark
