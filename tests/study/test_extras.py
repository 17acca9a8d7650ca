"""Funding and extra columns in a study: read, joined, charged, written down, and the same files on a resume."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from study.tiny import tiny
from tradenas.data import Candles, read_funding, write_candles
from tradenas.data.synthetic import planted
from tradenas.errors import CandleError, ConfigError, FolderError, SpaceError
from tradenas.events import Events
from tradenas.features import bar_funding, bar_returns
from tradenas.splits import Span
from tradenas.study import Study
from tradenas.study.config import DataConfig, StudyConfig, read_config
from tradenas.study.extras import load_beside, told
from tradenas.study.folder import RunFolder
from tradenas.study.market import prepare
from tradenas.study.strategies import Speaker, trade
from tradenas.train.backtest import Costs, Rule
from tradenas.train.store import load_dataset
from train.datasets import make_dataset

HOUR = 3_600_000
ROWS = 1800


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with candles of BTC, funding of two markets, and order books that begin late and stop for a while."""
    folder = tmp_path_factory.mktemp("home")
    made = planted("reversal", bars=ROWS).candles
    columns = {name: getattr(made, name) for name in ("open_time", "open", "high", "low", "close", "volume")}
    candles = Candles.from_arrays(symbol="BTC", interval_ms=made.interval_ms, calendar="24/7", **columns)
    write_candles(candles, folder / "btc.parquet")
    assert candles.interval_ms == HOUR
    first = int(candles.open_time[0])
    times = np.arange(first - first % (8 * HOUR), first + (ROWS + 8) * HOUR, 8 * HOUR)
    rates = 1e-4 * np.sin(np.arange(len(times)))
    pl.DataFrame(
        {"timestamp": np.tile(times, 2), "symbol": ["BTC"] * len(times) + ["ETH"] * len(times),
         "funding_rate": np.concatenate([rates, rates + 0.5])}
    ).write_parquet(folder / "funding.parquet")  # fmt: skip
    snaps = candles.close_time[50:] - 1000
    keep = (np.arange(len(snaps)) < 400) | (np.arange(len(snaps)) > 420)
    wave = np.cos(np.arange(len(snaps)))[keep]
    pl.DataFrame(
        {"ts": snaps[keep], "bid_price": 99.0 - wave, "bid_size": 2 + wave, "ask_price": 101.0 + wave, "ask_size": 2.0}
    ).write_csv(folder / "book.csv")
    return folder


def study(**changes):
    data = {"source": "btc.parquet", "funding": "funding.parquet", "extra": [{"path": "book.csv", "kind": "book"}]}
    return read_config(tiny(data={**data, **changes}))


def prepared(config, home, tmp_path):
    folder = RunFolder.create(tmp_path / "runs", config, base=home, command="test")
    prepare(folder, config, Events(), base=home)
    return folder, json.loads(folder.data.read_text()), load_dataset(folder.all_rows)


class TestConfig:
    def test_from_toml_and_back(self, tmp_path):
        file = tmp_path / "a.toml"
        file.write_text(
            '[data]\nsource = "x.parquet"\nfunding = "bybit"\n'
            '[[data.extra]]\npath = "oi.csv"\nname = "oi"\nage = true\n'
            '[[data.extra]]\npath = "book.parquet"\nkind = "book"\nlevels = 5\n'
        )
        config = read_config(file)
        assert [e.group for e in config.data.extra] == ["oi", "book"]
        assert list(config.data.extra_columns.values()).count("book") == 4
        (tmp_path / "b.toml").write_text(config.to_toml())
        assert read_config(tmp_path / "b.toml") == config
        assert read_config(tmp_path / "b.toml").digest == config.digest

    def test_the_digest_knows_what_is_asked_for_and_nothing_else(self):
        plain = StudyConfig().digest
        assert read_config({"data": {"funding": "", "extra": []}}).digest == plain
        asked = [{"data": {"funding": "bybit"}}, {"data": {"extra": [{"path": "a", "name": "a"}]}},
                 {"data": {"extra": [{"path": "a", "name": "a", "lag_ms": 1}]}},
                 {"features": {"without": ["rsi_14"]}}]  # fmt: skip
        assert len({read_config(one).digest for one in asked} | {plain}) == 5

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"data": {"extra": [{"path": "a", "nam": "a"}]}}, r"data\.extra\.0\.nam.*did you mean 'name'"),
            ({"data": {"extra": [{"name": "a"}]}}, r"data\.extra\.0\.path"),
            ({"data": {"extra": [{"path": "a", "name": "a"}, {"path": "b", "name": "a"}]}}, "each name once"),
            ({"data": {"extra": [{"path": "a", "name": "rsi_14"}]}}, "each name once"),
            ({"features": {"without": ["rsi14"]}}, r"features\.without.*rsi_14"),
            ({"features": {"without": ["funding_rate"]}}, r"features\.without"),
            ({"space": {"groups": ["book"]}}, "book"),
        ],
    )
    def test_faults(self, change, words):
        with pytest.raises((ConfigError, SpaceError), match=words):
            read_config(change)

    def test_a_group_that_a_file_brings_may_be_switched(self):
        assert study().space is not None
        config = read_config({"data": {"funding": "f"}, "space": {"groups": ["funding"]}})
        assert "input/group/funding" in [c.name for c in config.space.space(config.columns).choices]


def test_what_lies_in_the_dataset_and_in_data_json(home, tmp_path):
    _, about, data = prepared(study(), home, tmp_path)
    assert data.names == ("log_return_1", "rsi_14", "funding_rate", "book_spread", "book_imbalance", "book_microprice")
    assert data.groups[2:] == ("funding", "book", "book", "book")
    assert about["features"] == list(data.names)
    rates = pl.read_parquet(home / "funding.parquet").filter(pl.col("symbol") == "BTC")
    assert about["funding"]["charged"]
    assert about["funding"]["sum"] == pytest.approx(data.funding_T.sum())
    assert data.funding_T.sum() == pytest.approx(rates["funding_rate"].to_numpy()[1:].sum(), abs=5e-4)
    assert not data.ready_T[:50].any()  # no book yet
    stale = ~data.ready_T[300:]
    assert 17 <= stale.sum() <= 19  # 20 snapshots missing, of which 3 steps may be bridged
    assert [a["kind"] for a in about["extra"]] == ["funding", "book"]
    assert about["extra"][1]["fresh"] == pytest.approx((ROWS - 50 - 18) / ROWS, abs=1e-3)
    assert set(about["extra_files"]) == {"funding.parquet", "book.csv"}


def test_funding_may_be_paid_and_not_looked_at(home, tmp_path):
    config = read_config(tiny(data={"source": "btc.parquet", "funding": "funding.parquet"},
                              features={"without": ["funding_rate"]}))  # fmt: skip
    _, _, data = prepared(config, home, tmp_path)
    assert data.names == ("log_return_1", "rsi_14")
    assert data.funding_T.any()


def test_without_them_nothing_is_different(home, tmp_path):
    config = read_config(tiny(data={"source": "btc.parquet"}))
    _, about, data = prepared(config, home, tmp_path)
    assert data.funding_T is None
    assert {"extra", "extra_files"} & set(about) == set()
    assert about["funding"] == {"charged": False}  # fees of a perpetual, and nobody pays funding
    for change in ({"source": "planted:reversal"}, {"source": "sample:sp500"}):
        _, about, _ = prepared(read_config(tiny(data=change)), home, tmp_path)
        assert "funding" not in about
    spot = read_config({**tiny(data={"source": "btc.parquet"}), "costs": {"taker_bps": 10.0}})
    assert "funding" not in prepared(spot, home, tmp_path)[1]


@pytest.mark.parametrize("file", ["funding.parquet", "book.csv"])
def test_a_changed_file_is_refused_on_a_resume(home, tmp_path, file):
    for name in ("btc.parquet", "funding.parquet", "book.csv"):
        (tmp_path / name).write_bytes((home / name).read_bytes())
    folder, _, _ = prepared(study(), tmp_path, tmp_path)
    prepare(folder, study(), Events(), base=tmp_path)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes() + b"\n")
    with pytest.raises(FolderError, match=file):
        prepare(folder, study(), Events(), base=tmp_path)
    (tmp_path / file).unlink()
    prepare(folder, study(), Events(), base=tmp_path)


def test_each_market_has_its_own(home):
    both = DataConfig(source="x", funding="funding.parquet")
    candles = planted("noise", bars=ROWS).candles
    columns = {name: getattr(candles, name) for name in ("open_time", "open", "high", "low", "close", "volume")}
    found = {}
    for symbol in ("BTC", "ETH"):
        one = Candles.from_arrays(symbol=symbol, interval_ms=HOUR, calendar="24/7", **columns)
        found[symbol] = load_beside(both, one, base=home)
    np.testing.assert_allclose(found["ETH"].funding.value - found["BTC"].funding.value, 0.5)
    column = found["ETH"].indicators[0](one)
    assert column.min() > 0.4
    rows = len(one)
    data = [make_dataset(rows=rows) for _ in found]
    data = [replace(d, funding_T=np.full(rows, r)) for d, r in zip(data, (0.1, 0.3), strict=True)]
    config = read_config({"data": {"source": "x.parquet", "funding": "funding.parquet"}})
    about = told(config, [(replace(one, symbol=name), b, d) for (name, b), d in zip(found.items(), data, strict=True)])
    assert [(a["symbol"], a["kind"]) for a in about["extra"]] == [("BTC", "funding"), ("ETH", "funding")]
    assert about["funding"] == {"charged": True, "sum": pytest.approx(0.2 * rows)}
    assert list(about["extra_files"]) == ["funding.parquet"]
    sol = Candles.from_arrays(symbol="SOL", interval_ms=HOUR, calendar="24/7", **columns)
    with pytest.raises(CandleError, match="rows of BTC, ETH"):
        load_beside(both, sol, base=home)


def test_a_file_of_another_time_is_refused(home, tmp_path):
    pl.DataFrame({"time": [10**12, 10**12 + HOUR], "value": [1.0, 2.0]}).write_csv(home / "old.csv")
    with pytest.raises(CandleError, match=r"old\.csv.*values at the time of"):
        prepared(study(extra=[{"path": "old.csv", "name": "old"}]), home, tmp_path)


def test_a_whole_study(home, tmp_path):
    """Paid in every zone, in the daily file, in the verdict's facts; a cost sweep without fees still pays it."""
    few = {"top_k": 1, "seeds": 1, "random": 0, "coupling": 0, "baselines": ["hold"], "training": {"epochs": 1}}
    plain = tiny(data={"source": "btc.parquet", "funding": "funding.parquet"}, trials=few,
                 search={"num_ranked": 4, "training": {"epochs": 1}})  # fmt: skip
    result = Study(config=read_config(plain), base=home).run(tmp_path)
    rows = json.loads((result.folder / "retrain" / "strategies.json").read_text())["strategies"]
    hold = next(r for r in rows if r["name"] == "hold")
    data = load_dataset(result.folder / "data" / "sealed.safetensors")
    zones = json.loads((result.folder / "data.json").read_text())["zones"]
    for zone in ("selection", "vault"):
        rows_T = slice(zones[zone]["start"], zones[zone]["stop"])
        paid = data.funding_T[rows_T][np.isfinite(data.bar_return_T[rows_T])].sum()
        assert abs(paid) > 1e-6
        assert hold[zone]["total_funding"] == pytest.approx(paid)
        assert hold[zone]["total_net"] == pytest.approx(hold[zone]["total_gross"] - paid - 2 * 6.5e-4)
    daily = pl.read_parquet(result.folder / "retrain" / "daily.parquet")
    assert (daily["gross"] - daily["net"] - 6.5e-4 * daily["turnover"] - daily["funding"]).abs().max() < 1e-12
    champion = next(r for r in rows if r["name"] == result.facts["champion"]["name"])["vault"]
    free = next(p for p in result.facts["cost_sweep"] if p["bps"] == 0.0)
    assert free["total_net"] == pytest.approx(champion["total_gross"] - champion["total_funding"])
    assert result.facts["costs"]["funding"] is True


@pytest.mark.parametrize(("late_ms", "low", "high"), [(-1, 0.6, 1.0), (0, 0.6, 1.0), (1, -0.1, 0.1)])
def test_a_tip_that_comes_a_millisecond_late_is_worth_nothing(home, tmp_path, late_ms, low, high):
    """The next bar's return, told at the close: what is told a millisecond after it is old news a bar later."""
    candles = planted("noise", bars=ROWS, seed=2).candles
    write_candles(candles, tmp_path / "x.parquet")
    tip_T = np.nan_to_num(bar_returns(candles))
    pl.DataFrame({"time": candles.close_time + late_ms, "value": tip_T}).write_csv(tmp_path / "tip.csv")
    config = read_config(
        tiny(data={"source": "x.parquet", "symbol": candles.symbol, "extra": [{"path": "tip.csv", "name": "tip"}]})
    )
    _, _, data = prepared(config, tmp_path, tmp_path)
    rows = data.ready_T & np.isfinite(data.bar_return_T)
    found = np.corrcoef(data.x_TF[rows, data.names.index("tip")], data.bar_return_T[rows])[0, 1]
    assert low < found < high


@pytest.fixture
def pair(home, tmp_path):
    """Candles and funding of two markets, a file each; the second begins later."""
    made = {"BTC": planted("reversal", bars=ROWS).candles, "ETH": planted("momentum", bars=ROWS).candles[300:]}
    rates = pl.read_parquet(home / "funding.parquet")
    for symbol, candles in made.items():
        write_candles(replace(candles, symbol=symbol), tmp_path / f"{symbol}.parquet")
        own = rates.filter(pl.col("symbol") == symbol).drop("symbol")
        own = own.with_columns(pl.col("funding_rate") * (1 if symbol == "BTC" else 1e-4))
        own.write_parquet(tmp_path / f"{symbol}-funding.parquet")
    return made


def test_a_portfolio_pays_the_funding_of_each_market(pair, tmp_path):
    data = {"source": "{symbol}.parquet", "symbols": "all", "funding": "{symbol}-funding.parquet"}
    _, about, panel = prepared(read_config(tiny(data=data)), tmp_path, tmp_path)
    assert panel.symbols == ("BTC", "ETH")  # files of funding are no markets
    assert [one["symbol"] for one in about["extra"]] == ["BTC", "ETH"]
    assert set(about["extra_files"]) == {"BTC-funding.parquet", "ETH-funding.parquet"}
    paid = []
    for market, (symbol, candles) in zip(panel.markets, pair.items(), strict=True):
        rates = read_funding(f"{symbol}-funding.parquet", symbol, base=tmp_path)
        alone = bar_funding(candles, rates)
        np.testing.assert_array_equal(market.funding_T[np.isin(pair["BTC"].open_time, candles.open_time)], alone)
        paid.append(float(np.nansum(np.where(np.isfinite(market.bar_return_T), market.funding_T, 0.0))))
    assert paid[0] != pytest.approx(paid[1])
    span, long_AT = Span(0, ROWS), np.ones((2, ROWS))
    common = {"rule": Rule(kind="sign", band=0.0), "costs": Costs(), "train": Span(0, 10)}
    found = trade(panel, span, Speaker(signal_T=long_AT, scale=np.ones(2), banded=False, reach=1), **common)
    held_AT = panel.usable(1)
    expected = sum(
        float((panel.weight_AT[a] * held_AT[a] * market.funding_T).sum()) for a, market in enumerate(panel.markets)
    )
    assert found.result.funding_DN.sum() == pytest.approx(expected)
    assert abs(expected) > 1e-6
