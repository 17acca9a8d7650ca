"""The first stage: which candles, which rows are whose, and what lies in the two dataset files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from study.tiny import tiny
from tradenas.data import write_candles
from tradenas.data.synthetic import planted
from tradenas.errors import CandleError, ConfigError, TradenasError
from tradenas.events import Events
from tradenas.splits import Zones
from tradenas.study.config import DataConfig, read_config
from tradenas.study.folder import RunFolder
from tradenas.study.market import load_candles, longest_reach, prepare, zones_of
from tradenas.train.store import load_dataset


def prepared(tmp_path, **changes):
    config = read_config(tiny(), changes=changes)
    folder = RunFolder.create(tmp_path / "runs", config, base=tmp_path, command="test")
    prepare(folder, config, Events(), base=tmp_path)
    return folder, config


def test_sources(tmp_path):
    world, none = load_candles(DataConfig(source="planted:noise", bars=300, seed=5))
    assert none is None
    assert world.sha256 == planted("noise", bars=300, seed=5).candles.sha256
    write_candles(world, tmp_path / "a.parquet")
    read, report = load_candles(DataConfig(source="a.parquet"), base=tmp_path)
    assert report is not None
    assert np.array_equal(read.close, world.close)
    absolute, _ = load_candles(DataConfig(source=str(tmp_path / "a.parquet")))
    assert np.array_equal(absolute.close, world.close)
    longer, _ = load_candles(DataConfig(source="planted:noise", bars=300, resample=240))
    assert longer.interval_ms == 240 * 60_000
    with pytest.raises(TradenasError, match="noize"):
        load_candles(DataConfig(source="planted:noize"))
    with pytest.raises(TradenasError, match=r"none\.parquet"):
        load_candles(DataConfig(source="none.parquet"), base=tmp_path)


def test_zones_are_apart_by_purge_and_the_longest_memory(tmp_path):
    folder, config = prepared(tmp_path)
    zones = Zones.from_description(json.loads(folder.data.read_text())["zones"])
    data = load_dataset(folder.all_rows)
    reach = longest_reach(config, data)
    assert reach == 5 + 2 * 2  # lookback, and two layers of conv3
    gap = config.target.purge_rows + reach
    assert zones.selection.start - zones.search.stop >= gap
    assert zones.vault.start - zones.selection.stop >= gap
    assert zones.search.start >= int(data.ready_T.argmax()) > 0
    assert zones.vault.stop <= len(data)


def test_the_open_file_ends_before_the_vault(tmp_path):
    folder, config = prepared(tmp_path)
    zones = Zones.from_description(json.loads(folder.data.read_text())["zones"])
    part, whole = load_dataset(folder.open_rows), load_dataset(folder.all_rows)
    assert len(part) == zones.selection.stop
    assert len(whole) == 1800
    assert part.realised_T[-1] < whole.realised_T[zones.vault.start] - 3_600_000
    assert np.array_equal(part.x_TF, whole.x_TF[: len(part)])
    assert part.purge_rows == config.target.purge_rows


def test_a_second_call_changes_nothing(tmp_path):
    folder, config = prepared(tmp_path)
    before = {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()}
    prepare(folder, config, Events(), base=tmp_path / "elsewhere")
    assert {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()} == before


def test_an_embargo_below_the_memory_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"zones\.embargo.*longest memory"):
        prepared(tmp_path, **{"zones.embargo": 5})
    folder, config = prepared(tmp_path, **{"zones.embargo": 40})
    zones = zones_of(config, load_dataset(folder.all_rows))
    assert zones.embargo == 40


def test_candles_with_holes_are_refused_unless_allowed(tmp_path):
    candles = planted("noise", bars=1800).candles
    keep = np.r_[0:600, 640:1800]
    holed = type(candles).from_arrays(
        symbol="HOLED", interval_ms=candles.interval_ms, calendar="24/7", open_time=candles.open_time[keep],
        turnover=None, **{n: getattr(candles, n)[keep] for n in ("open", "high", "low", "close", "volume")},
    )  # fmt: skip
    write_candles(holed, tmp_path / "holed.parquet")
    with pytest.raises(CandleError):
        prepared(tmp_path, **{"data.source": "holed.parquet"})
    folder, _ = prepared(tmp_path, **{"data.source": "holed.parquet", "data.repairs.allow_gaps": True})
    data = load_dataset(folder.all_rows)
    assert data.gap_T.sum() == 1
    assert not data.usable(9)[600:608].any()


@pytest.mark.parametrize(
    ("change", "place"),
    [({"space.ops": ["convv3"]}, "conv"), ({"space.transforms": ["zscor"]}, "zscore"),
     ({"space.groups": ["moon"]}, "moon"),
     ({"space.norms": ["bach"]}, "batch"), ({"zones.fractions": [0.9, 0.2, 0.2]}, "fractions"),
     ({"data.bars": 120}, "expected")],
)  # fmt: skip
def test_what_only_the_candles_show_is_found_before_the_search(tmp_path, change, place):
    with pytest.raises(TradenasError, match=place):
        prepared(tmp_path, **change)


def test_env_and_study_are_written_first_and_remember_where_paths_start(tmp_path):
    config = read_config(tiny())
    folder = RunFolder.create(tmp_path / "runs", config, base=tmp_path / "x" / "..", command="tradenas run a.toml")
    about = json.loads(folder.environment.read_text())
    assert about["command"] == "tradenas run a.toml"
    assert folder.base == tmp_path.resolve()
    assert folder.config() == config
    assert {"tradenas", "python", "torch", "numpy", "platform", "cpu", "threads"} <= set(about)
    folder.study.unlink()  # killed between the two files
    again = RunFolder.create(tmp_path / "runs", config, base=tmp_path, command="again")
    assert again.environment.exists()
    assert again.study.exists()
