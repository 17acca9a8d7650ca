"""A study with a latency table: predicted in the search, timed after the training, and shown beside each other."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from cost.latency.fake import DEVICE, QUICK, Clock, FakeRuntime
from study.test_budget import Heard, read, study
from tradenas.cost.latency import measure
from tradenas.cost.latency.runtimes import OnnxRuntime
from tradenas.errors import ConfigError, FolderError
from tradenas.events import Events
from tradenas.nn import Layout, Network
from tradenas.report.record import load_record
from tradenas.report.write import write_report
from tradenas.study import Study
from tradenas.study.config import read_config
from tradenas.study.folder import RunFolder
from tradenas.study.latency import time_finalists

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'tradenas[onnx]'")


class Fake(FakeRuntime):
    """Its tables pass for ONNX Runtime's."""

    packages = OnnxRuntime.packages


def network(config):
    columns = config.columns
    layout = Layout(groups=tuple(columns.values()), names=tuple(columns), transforms=config.space.blocks)
    return Network(config.space.space(columns), layout)


def write_table(config, path):
    clock = Clock()
    table = measure(network(config), DEVICE, effort=QUICK, runtime=Fake(clock), clock=clock).table
    table.save(path)
    return table


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    torch.set_num_threads(1)
    folder, heard = tmp_path_factory.mktemp("latency"), Heard()
    plain = study(table="table.json", device="own.toml", objectives=["merit", "latency_us", "peak_bytes"])
    config = read_config(plain)
    table = write_table(config, folder / "table.json")
    middle = sorted(net.measured_us for net in table.nets)[5]
    own = f'kind = "cpu"\nwords = "Ours."\nbackends = ["onnxruntime"]\n[limits]\nlatency_us = {middle * table.p99}\n'
    (folder / "own.toml").write_text(own)
    return Study(config=config, base=folder).run(folder / "runs", progress=heard).folder, table, middle, heard, config


def test_what_is_searched_is_predicted_to_be_quick_enough(done):
    folder, table, middle, _, _ = done
    told = read(folder, "search/budget.json")
    assert told["limits"]["latency_us"] == pytest.approx(middle)
    assert told["mode"] == "window"
    assert told["table"]["floor"] == table.floor
    assert not told["not_held"]
    assert 0.0 < told["share"] < 1.0
    found = read(folder, "search/candidates.json")["candidates"]
    assert all(0.0 < c["costs"]["latency_us"] <= middle + 1e-9 for c in found)
    assert read(folder, "search/front.json")["objectives"] == ["merit", "latency_us", "peak_bytes"]


def test_finalists_are_timed_and_stand_on_the_page(done):
    folder, _, middle, heard, _ = done
    told = read(folder, "retrain/latency.json")
    rows = [r for r in read(folder, "retrain/strategies.json")["strategies"] if r["architecture"]]
    assert [p["name"] for p in told["points"]] == [r["name"] for r in rows]
    assert [p["predicted_us"] for p in told["points"]] == [r["costs"]["latency_us"] for r in rows]
    assert all(0.0 < p["measured_us"] <= p["p99_us"] * 1.5 for p in told["points"])
    assert told["limit_us"] == pytest.approx(middle)
    slow = [p["name"] for p in told["points"] if p["measured_us"] > middle]
    assert [w for w in heard.warned if "over the limit" in w] == [w for w in heard.warned if "takes" in w]
    assert sum("over the limit" in w for w in heard.warned) == len(slow)
    page = write_report(folder).read_text()
    assert "Latency of a window, predicted and measured" in page
    assert len(load_record(folder).latency.points) == len(rows)


def test_times_are_taken_once_and_by_the_runtime_that_is_given(done):
    folder, _, _, _, config = done
    heard = Heard()
    run, base = RunFolder(folder), folder.parents[1]
    before = run.latency.read_bytes()
    time_finalists(run, config, Events(), base=base)
    assert run.latency.read_bytes() == before
    run.latency.unlink()
    clock = Clock()
    slow = Fake(clock, whole=lambda total, parts: 1e7)
    time_finalists(run, config, Events(progress=heard), base=base, effort=QUICK, runtime=slow, clock=clock)
    told = json.loads(run.latency.read_text())
    assert len({p["measured_us"] for p in told["points"]}) == 1
    assert told["points"][0]["measured_us"] > 100 * told["limit_us"]
    assert sum("over the limit" in w for w in heard.warned) == len(told["points"])
    run.latency.write_bytes(before)


def test_another_table_or_mode_is_refused(done, tmp_path):
    folder, table, _, _, config = done
    base = folder.parents[1]
    foreign = replace(table, conditions=replace(table.conditions, cpu="another"))
    foreign.save(tmp_path / "table.json")
    (tmp_path / "own.toml").write_bytes((base / "own.toml").read_bytes())
    with pytest.raises(ConfigError, match="latency table: cpu"):
        Study(config=config, base=tmp_path).run(tmp_path / "runs")
    streamed = replace(config, budget=replace(config.budget, mode="stream"))
    with pytest.raises(ConfigError, match=r"budget\.mode: got stream, expected window"):
        Study(config=streamed, base=base).run(tmp_path / "runs2")
    replace(table, made="later").save(base / "table.json")
    Study(config=config, base=base).run(base / "runs")  # judged: nothing is left that would hang on it
    (folder / "verdict.json").unlink()
    with pytest.raises(FolderError, match="budget whose table changed"):
        Study(config=config, base=base).run(base / "runs")
    table.save(base / "table.json")
