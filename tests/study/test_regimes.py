"""Regimes in a study: labelled from the past, ranked apart and counted, routed, compared, and off when off."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
import torch

from study.test_study import mixed
from study.tiny import kill, tiny
from tradenas.data import write_candles
from tradenas.data.synthetic import planted
from tradenas.errors import ConfigError
from tradenas.features import REGIMES, RegimeModel
from tradenas.nn import Layout, Network
from tradenas.space import Chain
from tradenas.splits import Span, Zones
from tradenas.stats import sharpe_difference
from tradenas.study import Study, read_config, retraining
from tradenas.study.bench import Bench
from tradenas.study.folder import RunFolder
from tradenas.study.market import prepare
from tradenas.study.regimes import RegimeConfig, shares
from tradenas.study.routing import UNKNOWN, parts_of, route, specialists
from tradenas.study.strategies import Speaker, trade
from tradenas.train.backtest import Costs, Rule
from tradenas.train.fit import fit
from tradenas.train.loop import Training
from tradenas.train.store import load_dataset, save_dataset
from tradenas.trials.jobs import JobSpec, add_input
from tradenas.trials.ledger import Ledger
from tradenas.trials.retrain import fit_network
from train.datasets import make_dataset

SMALL = {"enabled": True, "window": 8, "slow": 40, "min_rows": 20, "top_k": 1}
LESS = {
    "top_k": 1, "random": 0, "seeds": 1, "coupling": 0, "baselines": ["flat", "hold"],
    "training": {"epochs": 1, "segment": 32, "batch": 256},
}  # fmt: skip
SEARCH = {"num_ranked": 10, "training": {"epochs": 2, "segment": 32, "batch": 256}}
WORLD = {"source": "planted:gated", "bars": 1800}


def study(**sections):
    own = {"regimes": {**SMALL, **sections.pop("regimes", {})}}
    return {**tiny(**{"trials": LESS, "search": SEARCH, "data": WORLD, **sections}), **own}


def facts(folder, name):
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return Study.of(study()).run(tmp_path_factory.mktemp("regimes"))


@pytest.fixture(scope="module")
def rows(done):
    return {r["name"]: r for r in facts(done.folder, "retrain/strategies.json")["strategies"]}


class TestLabels:
    def test_they_come_from_the_past_and_thresholds_from_the_search_zone(self, done):
        folder = RunFolder(done.folder)
        told, candles = facts(done.folder, "data.json"), planted("gated", bars=1800).candles
        zones = Zones.from_description(told["zones"])
        model = RegimeModel.fit(candles[: zones.search.stop], zones.search, window=8, slow=40)
        assert told["regimes"] == asdict(model)
        label_T = load_dataset(folder.all_rows).regime_T
        for stop in (zones.search.stop, zones.selection.start + 7, zones.vault.start, zones.vault.start + 11, 1800):
            assert model.labels(candles[:stop]).tolist() == label_T[:stop].tolist()

    def test_another_future_changes_no_label_before_it(self, done, tmp_path):
        candles, zones = planted("gated", bars=1800).candles, facts(done.folder, "data.json")["zones"]
        label_T = load_dataset(RunFolder(done.folder).all_rows).regime_T
        for zone in ("selection", "vault"):
            start, home = zones[zone]["start"], tmp_path / zone
            home.mkdir()
            write_candles(mixed(candles, start), home / "candles.parquet")
            config = read_config(study(data={"source": "candles.parquet"}))
            folder = RunFolder.create(home, config, base=home, command="test")
            prepare(folder, config, _quiet(), base=home)
            other_T = load_dataset(folder.all_rows).regime_T
            assert other_T[:start].tolist() == label_T[:start].tolist()
            assert other_T[start:].tolist() != label_T[start:].tolist()

    def test_the_open_file_has_no_label_of_the_vault(self, done):
        stop = facts(done.folder, "data.json")["zones"]["selection"]["stop"]
        assert len(load_dataset(RunFolder(done.folder).open_rows).regime_T) == stop

    def test_shares(self):
        data = make_dataset(rows=300)
        object.__setattr__(data, "regime_T", np.repeat(np.int8([-1, 0, 3]), 100))
        assert shares(data, Span(50, 250)) == {
            "trending": 0.5, "mean_reverting": 0.0, "volatile": 0.0, "calm": 0.25, "unknown": 0.25,
        }  # fmt: skip


def _quiet():
    from tradenas.events import Events

    return Events()


class TestTrials:
    def test_every_regime_score_is_a_trial(self, done):
        by_stage = facts(done.folder, "verdict.json")["trials"]["by_stage"]
        assert by_stage["search"] == 10
        assert by_stage["regimes"] == 4 * 10
        with Ledger(done.folder / "ledger.db") as ledger:
            whole, parts = ledger.trials("search"), ledger.trials("regimes")
        assert {t.key for t in parts} == {f"{t.digest}/{name}" for t in whole for name in REGIMES}
        assert not any("/" in name for t in whole + parts for name in t.scores)
        candidates = {c["digest"]: c["scores"] for c in facts(done.folder, "search/candidates.json")["candidates"]}
        for t in parts:
            assert t.scores["ic"] == candidates[t.digest][f"ic/{t.params['regime']}"]

    def test_specialists_and_router_are_compared_on_the_selection_zone(self, done, rows):
        """So the effective number of trials, which the deflated Sharpe ratio pays for, is measured with them."""
        verdict = facts(done.folder, "verdict.json")
        kinds = [r["kind"] for r in rows.values()]
        assert kinds == ["finalist", *["specialist"] * 4, "baseline", "baseline", "routed"]
        assert verdict["trials"]["by_stage"]["retrain"] == len(kinds)
        assert any(f"{len(kinds)} were compared on the selection zone" in words for words in verdict["why"])


class TestRouter:
    def test_each_regime_is_ranked_by_its_own_score(self, done, rows):
        candidates = facts(done.folder, "search/candidates.json")["candidates"]
        for name in REGIMES:
            best = max(candidates, key=lambda c: c["scores"][f"rank_ic/{name}"])
            row = rows[f"{name.replace('_', '-')} 1"]
            assert row["digest"] == best["digest"]
            assert row["regime"] == name
            assert row["supernet_score"] == best["scores"][f"rank_ic/{name}"]
        assert len({rows[f"{n.replace('_', '-')} 1"]["digest"] for n in REGIMES}) > 1

    def test_specialists_trade_in_their_regime_alone(self, done, rows):
        """Its P&L of the vault, day by day, is that of a voice silenced elsewhere; its training is told the rows."""
        data = load_dataset(RunFolder(done.folder).all_rows)
        daily = pl.read_parquet(done.folder / "retrain" / "daily.parquet")
        span = Span(*(facts(done.folder, "data.json")["zones"]["vault"][k] for k in ("start", "stop")))
        day_T = data.realised_T[span.slice] // 86_400_000 * 86_400_000
        for name in REGIMES:
            inside = set(day_T[data.in_regime(name)[span.slice]].tolist())
            own = daily.filter((pl.col("zone") == "vault") & (pl.col("name") == f"{name.replace('_', '-')} 1"))
            moved = {d for d, turnover in zip(own["day"], own["turnover"], strict=True) if turnover > 0}
            spill = {d + 86_400_000 for d in inside}  # what is held on the last row of a day is sold on the next
            assert moved
            assert moved <= inside | spill
        database = sqlite3.connect(done.folder / "ledger.db")
        specs = {job: json.loads(spec) for job, spec in database.execute("SELECT id, spec FROM jobs")}
        database.close()
        told = {r["name"]: [specs[job]["params"].get("regime") for job in r["jobs"]] for r in rows.values()}
        assert told["calm 1"] == ["calm"]
        assert told["finalist 1"] == [None]
        assert sorted(told["routed"], key=str) == sorted([None, *REGIMES], key=str)

    def test_outside_its_rows_a_voice_is_flat(self):
        data, span = make_dataset(rows=400), Span(100, 400)
        speak = {"rule": Rule(band=0.0), "costs": Costs(), "train": Span(0, 100)}
        inside_T = np.arange(300) // 7 % 3 == 0

        def traded(rows_T):
            voice = Speaker(signal_T=np.ones(300), scale=1.0, banded=True, reach=1, rows_T=rows_T)
            return trade(data, span, voice, **speak)

        usable_T = data.usable(1)[span.slice]
        gross_T = np.where(usable_T, data.bar_return_T[span.slice], 0.0)
        assert traded(inside_T).result.gross_NT[0].tolist() == np.where(inside_T, gross_T, 0.0).tolist()
        assert traded(None).result.gross_NT[0].tolist() == gross_T.tolist()
        never = traded(np.zeros(300, bool))  # a regime that did not come up
        assert never.scores == {}
        assert not never.result.net_DN.any()
        assert len(never.result.days_D) == len(traded(None).result.days_D)

    def test_the_routed_voice_is_that_of_the_regime_known_at_the_row(self):
        data = make_dataset(rows=400)
        label_T = (np.arange(400) // 10 % 5 - 1).astype(np.int8)
        object.__setattr__(data, "regime_T", label_T)
        span = Span(100, 400)
        names = [*REGIMES, UNKNOWN]
        voices = {
            n: [
                Speaker(signal_T=np.full(300, (at + 1) * 10.0**k), scale=10.0**k, banded=True, reach=3 + at)
                for k in range(2 + (at != 2))
            ]
            for at, n in enumerate(names)
        }
        routed = route(data, span, {n: n for n in names}, voices)
        assert len(routed) == 2  # the part with the fewest trainings decides
        for one in routed:
            want_T = np.where(label_T < 0, 5.0, label_T + 1.0)[span.slice]
            assert one.signal_T.tolist() == want_T.tolist()  # in units of each one's own usual size
            assert (one.scale, one.banded, one.reach, one.rows_T) == (1.0, True, 7, None)
        mute = {**voices, "calm": [Speaker(signal_T=np.zeros(300), scale=0.0, banded=True, reach=3)]}
        assert not route(data, span, {n: n for n in names}, mute)[0].signal_T[label_T[100:] == 3].any()

    def test_the_part_is_chosen_on_the_selection_zone(self):
        def row(name, kind, value, regime=None):
            own = {} if regime is None else {"regime": regime}
            return {"name": name, "kind": kind, "selection": {"sharpe": value, "ic": -value}, **own}

        given = [
            row("finalist 1", "finalist", 0.5), row("finalist 2", "finalist", 0.7), row("random 1", "random", 9.0),
            row("calm 1", "specialist", -1.0, "calm"), row("calm 2", "specialist", -0.5, "calm"),
            row("volatile 1", "specialist", 3.0, "volatile"), row("hold", "baseline", 8.0),
        ]  # fmt: skip
        single = "finalist 2"
        want = {UNKNOWN: single, "trending": single, "mean_reverting": single}
        want |= {"volatile": "volatile 1", "calm": "calm 2"}
        assert parts_of(given, "sharpe") == want
        assert parts_of(given, "ic")["calm"] == "calm 1"

    def test_the_record_is_what_the_daily_returns_say(self, done, rows):
        record = facts(done.folder, "retrain/strategies.json")["regimes"]
        assert record["router"] == rows["routed"]["settings"]
        assert record["trials"] == {"regimes": 40, "search": 10}
        daily = pl.read_parquet(done.folder / "retrain" / "daily.parquet")
        for zone in ("selection", "vault"):
            part = daily.filter(pl.col("zone") == zone).pivot(on="name", index="day", values="net").sort("day")
            found = record["zones"][zone]["comparison"]
            want = sharpe_difference(part["routed"], part[record["single"]])
            assert found["value"] == pytest.approx(want.value, rel=1e-9)
            assert found["low"] < found["value"] < found["high"]
            assert found["total_first"] == pytest.approx(part["routed"].sum())
            assert (found["call"] == "paid") == (found["low"] > 0)
        verdict = facts(done.folder, "verdict.json")
        assert verdict["regimes"] == record["zones"]["vault"]["comparison"]
        assert verdict["why"][-2:] == record["words"]
        assert "40 more scores were looked at beside the 10" in record["words"][1]
        own = record["zones"]["vault"]["scores"]["calm 1"]
        assert set(own) == {"calm"}
        assert own["calm"]["sharpe"] == pytest.approx(rows["calm 1"]["vault"]["sharpe"], rel=1e-6)
        assert set(record["zones"]["vault"]["scores"]["routed"]) == set(REGIMES)

    def test_the_router_may_become_champion(self, done, tmp_path, monkeypatch):
        real = retraining.route

        def clairvoyant(data, span, parts, voices):
            spoken = real(data, span, parts, voices)
            came_T = np.nan_to_num(data.bar_return_T[span.slice])
            return [Speaker(signal_T=came_T, scale=0.0, banded=True, reach=v.reach) for v in spoken]

        monkeypatch.setattr(retraining, "route", clairvoyant)
        monkeypatch.setattr("tradenas.study.judging.route", clairvoyant)
        result = Study.of(study()).run(tmp_path)
        assert result.facts["champion"] == {"name": "routed", "digest": None}
        assert result.facts["regimes"]["call"] == "paid"
        assert "Routing paid" in " ".join(result.facts["why"])
        assert result.facts["net_sharpe"]["value"] > 5 + done.facts["net_sharpe"]["value"]


def test_a_killed_study_ends_with_the_same_hash(done, tmp_path, monkeypatch):
    """Stopped while retraining, and again between daily P&L and strategies, and while judging."""
    import tradenas.study.judging as judging

    for place, name in ((retraining, "_routed"), (retraining, "write_json"), (judging, "vault_record")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                Study.of(study()).run(tmp_path)
    result = Study.of(study()).run(tmp_path)
    assert kill.content(result.folder) == kill.content(done.folder)


class TestOff:
    def test_nothing_of_it_is_there(self, tmp_path):
        result = Study.of(tiny(trials=LESS, search=SEARCH)).run(tmp_path)
        for name in ("data.json", "retrain/strategies.json", "verdict.json"):
            assert "regime" not in (result.folder / name).read_text()
        assert load_dataset(RunFolder(result.folder).all_rows).regime_T is None
        assert "regimes" not in result.facts["trials"]["by_stage"]
        candidates = facts(result.folder, "search/candidates.json")["candidates"]
        assert not any("/" in name for c in candidates for name in c["scores"])

    def test_the_digest_knows_regimes_only_where_they_are(self):
        plain, off = read_config(tiny()), read_config({**tiny(), "regimes": {"top_k": 7}})
        assert plain.digest == off.digest
        assert plain.digest != read_config(study(trials={}, data={})).digest
        assert read_config(study()).digest != read_config(study(regimes={"outside": 1.0})).digest


class TestOutside:
    def test_weight_one_trains_specialists_as_finalists(self, tmp_path):
        config = read_config(study(regimes={"outside": 1.0}))
        folder = RunFolder.create(tmp_path, config, base=tmp_path, command="test")
        prepare(folder, config, _quiet(), base=tmp_path)
        with Ledger(folder.ledger) as ledger:
            bench = Bench.at(folder, config, ledger, _quiet(), folder.open_rows)
            half = Bench.at(folder, read_config(study(regimes={"outside": 0.5})), ledger, _quiet(), folder.open_rows)
        a, zones = config.space.space().smallest(), bench.zones
        common = {"space": config.space, "train": zones.search, "signals": {"selection": zones.selection}, "seed": 3}
        assert bench.network_job(a, **common, regime="calm").id == bench.network_job(a, **common).id
        spec = half.network_job(a, **common, regime="calm")
        assert (spec.params["regime"], spec.params["outside"]) == ("calm", 0.5)
        assert "regime" not in half.network_job(a, **common).params

    def test_a_job_weighs_its_rows(self, tmp_path):
        data = make_dataset(rows=400, planted="feature")
        object.__setattr__(data, "regime_T", (np.arange(400) // 10 % 4).astype(np.int8))
        save_dataset(data, tmp_path / "data")
        space, training = Chain(depths=(1,), widths=(4,), ops=("dense",), transforms=("raw",)), Training(epochs=1)
        a = space.space().smallest()
        params = {"space": asdict(space), "architecture": dict(a), "training": asdict(training), "train": [0, 300],
                  "signals": {"later": [300, 350]}}  # fmt: skip
        told = []
        for number, rows in enumerate(({}, {"regime": "calm", "outside": 0.0}, {"regime": "calm", "outside": 0.5})):
            inputs = {"dataset": add_input(tmp_path, tmp_path / "data")}
            folder = tmp_path / str(number)
            folder.mkdir()
            fit_network(JobSpec(kind="fit_network", params={**params, **rows}, inputs=inputs), folder)
            told.append(np.load(folder / "later.npy"))
        network = Network(space.space(), Layout(groups=data.groups, transforms=data.transforms))
        for signal_T, outside in zip(told, (1.0, 0.0, 0.5), strict=True):
            weight_T = np.where(data.in_regime("calm"), 1.0, outside)
            want = fit(network, a, data, Span(0, 300), training=training, seed=0, weight_T=weight_T)
            assert signal_T.tolist() == want.signals(data, Span(300, 350)).tolist()
        assert len({tuple(signal_T) for signal_T in told}) == 3

    def test_the_usual_size_is_measured_in_the_regime(self):
        data = make_dataset(rows=400)
        label_T = np.where(np.arange(400) % 4 == 0, 3, 0).astype(np.int8)
        object.__setattr__(data, "regime_T", label_T)
        bench = object.__new__(Bench)
        object.__setattr__(bench, "data", data)
        known = np.where(label_T[100:200] == 3, 5.0, 1.0)
        about = {"reach": 1, "calibration": [100, 200]}
        speak = {"signals": [np.ones(50)], "known": [known], "about": about}
        (calm, _) = bench.voices(**speak, regime="calm", span=Span(200, 250))
        assert calm.scale == 5.0
        assert calm.rows_T.tolist() == (label_T[200:250] == 3).tolist()
        assert bench.voices(**speak)[0].scale == 2.0
        assert bench.voices(**speak)[0].rows_T is None
        assert bench.voices(**speak, regime="volatile", span=Span(200, 250))[0].scale == 2.0  # no row: all rows


class TestFaults:
    def test_a_regime_with_too_few_rows_is_named(self, tmp_path):
        with pytest.raises(ConfigError, match=r"'trending': got \d+ of the \d+ rows that train, expected 500") as e:
            Study.of(study(regimes={"min_rows": 500})).run(tmp_path)
        assert "regimes.min_rows" in str(e.value)
        with pytest.raises(ConfigError, match=r"regime '\w+': got \d+ of the \d+ rows that rank"):
            Study.of(study(regimes={"min_rows": 90})).run(tmp_path)

    def test_a_zone_too_short_for_the_detector(self, tmp_path):
        with pytest.raises(ConfigError, match=r"regimes.rows: got \d+ rows after a warm-up of \d+"):
            Study.of(study(regimes={"window": 48, "slow": 480})).run(tmp_path)

    def test_a_target_without_direction(self):
        wrong = {"target": {"kind": "volatility", "horizon": 4}, "rule": {"kind": "volatility_target"}}
        assert read_config({**tiny(), **wrong}).target.kind == "volatility"
        with pytest.raises(ConfigError, match=r"regimes.enabled: got true with target.kind volatility"):
            read_config({**study(), **wrong})

    @pytest.mark.parametrize(
        ("key", "value"),
        [("outside", 1.5), ("outside", -0.1), ("tail", 0.5), ("window", 1), ("slow", 8), ("top_k", 0), ("min_rows", 1)],
    )
    def test_settings(self, key, value):
        with pytest.raises(ConfigError, match=f"regimes.{key}"):
            RegimeConfig(**{**SMALL, key: value})

    def test_no_regimes_no_specialists(self):
        assert specialists(read_config(tiny()), []) == []
