"""A study file: all faults at once, each with its place and what was meant; and a digest of what decides."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from study.tiny import tiny
from tradenas.errors import ConfigError
from tradenas.search.methods import RandomSearch, Sandwich
from tradenas.study.config import StudyConfig, read_config

DEMOS = sorted((Path(__file__).parents[2] / "src/tradenas/study/demos").glob("*.toml"))


def test_all_faults_are_told_at_once_with_what_was_meant():
    plain = tiny()
    plain["serach"] = {}
    plain["trials"] |= {"topk": 3, "sedes": 2}
    plain["trials"]["seeds"] = 0
    plain["trials"]["baselines"] = ["flat", "momentun"]
    plain["search"]["num_ranked"] = "many"
    plain["search"]["training"]["lr"] = -1.0
    plain["costs"] = {"taker_bps": "free"}
    plain["zones"] = {"valid": 1.5}
    plain["runner"] = {"kind": "processs", "threads": 1}
    with pytest.raises(ConfigError) as caught:
        read_config(plain)
    told = str(caught.value)
    for text in (
        "serach: no such key, did you mean 'search'?", "trials.topk: no such key, did you mean 'top_k'?",
        "trials.sedes: no such key, did you mean 'seeds'?",
        "search.num_ranked: got 'many'", "training.lr", "costs.taker_bps: got 'free'", "zones.valid: got 1.5",
        "runner.kind: got 'processs'",
    ):  # fmt: skip
        assert text in told, text
    assert "trials.seeds" in told or "momentum" in told
    count = int(told.split(": ")[1].split()[0])
    assert told.count("\n  ") >= count >= 8


@pytest.mark.parametrize(
    ("section", "change", "fault"),
    [("trials", {"baselines": ["momentun"]}, "(?i)did you mean 'momentum'"),
     ("trials", {"baselines": ["flat", "flat"]}, "each name once"),
     ("trials", {"reps": 10}, r"trials\.reps"),
     ("features", {"indicators": ["rsi_41"]}, "(?i)did you mean 'rsi_14'"),
     ("search", {"kind": "spoos"}, "(?i)did you mean 'spos'"),
     ("search", {"find": {"population": 0}}, r"search\.find\.population"),
     ("search", {"find": {"kind": "evolutoin"}}, r"(?i)search\.find\.kind: did you mean 'evolution'"),
     ("search", {"find": {"kind": "random", "parents": 3}}, r"search\.find\.parents: no such key"),
     ("space", {"depths": [2, 1]}, r"space\.depths"),
     ("space", {"dropouts": [1.0]}, r"space\.dropouts"),
     ("zones", {"embargo": -1}, r"zones\.embargo"),
     ("runner", {"workers": -1}, r"runner\.workers"),
     ("runner", {"threads": 0}, r"runner\.threads"),
     ("target", {"kind": "volatility", "horizon": 5}, "no direction"),
     ("name", "a/b", "a folder name"),
     ("metric", "sharp", "one of sharpe"),
     ("data", {"repairs": {"fill_gap": 3}}, r"data\.repairs\.fill_gap.*did you mean 'fill_gaps")],
)  # fmt: skip
def test_each_fault_has_a_name(section, change, fault):
    plain = {**tiny(), "zones": {}, "target": {}, "metric": "sharpe"}
    plain[section] = {**plain[section], **change} if isinstance(change, dict) else change
    with pytest.raises(ConfigError, match=fault):
        read_config(plain)


def test_files_that_are_no_study(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("name = [")
    with pytest.raises(ConfigError, match="TOML"):
        read_config(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="TOML"):
        read_config(tmp_path / "binary.toml")
    with pytest.raises(ConfigError, match="search"):
        read_config({"search": 3})


RANDOM = {"kind": "spos", "find": {"kind": "random"}}


@pytest.mark.parametrize("source", [{}, tiny(), tiny(search=RANDOM), *DEMOS], ids=str)
def test_the_resolved_file_is_the_same_study(tmp_path, source):
    config = read_config(source)
    (tmp_path / "study.toml").write_text(config.to_toml())
    again = read_config(tmp_path / "study.toml")
    assert again == config
    assert again.digest == config.digest
    assert again.to_toml() == config.to_toml()


def test_methods_have_their_own_keys(tmp_path):
    config = read_config({"search": {"kind": "random_search", "num_trained": 7}})
    assert isinstance(config.search, RandomSearch)
    assert config.search.num_trained == 7
    (tmp_path / "study.toml").write_text(config.to_toml())
    assert read_config(tmp_path / "study.toml") == config
    assert isinstance(read_config({}).search, Sandwich)
    with pytest.raises(ConfigError, match="num_ranked: no such key"):
        read_config({"search": {"kind": "random_search", "num_ranked": 7}})


def test_changes_reach_any_depth_and_are_checked():
    config = read_config(tiny(), changes={"search.training.epochs": 9, "name": "other", "costs.taker_bps": 1.0})
    assert (config.search.training.epochs, config.name, config.costs.taker_bps) == (9, "other", 1.0)
    assert config.search.num_ranked == 10  # the rest of the section stays
    plain = tiny()
    read_config(plain, changes={"trials.top_k": 4})
    assert plain == tiny()  # the caller's mapping is not written to
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        read_config(tiny(), changes={"search.training.epoch": 9})
    with pytest.raises(ConfigError, match="a section"):
        read_config(tiny(), changes={"name.first": "a"})


@pytest.mark.parametrize(
    "change",
    [{"seed": 4}, {"metric": "ic"}, {"data.bars": 1900}, {"data.seed": 1}, {"data.resample": 240},
     {"features.window": 30}, {"features.indicators": ["log_return_1"]}, {"target.horizon": 2}, {"target.delay": 2},
     {"zones.valid": 0.3}, {"zones.embargo": 50}, {"space.widths": [4]}, {"search.num_ranked": 11},
     {"search.training.lr": 1e-4}, {"trials.top_k": 1}, {"trials.reps": 200}, {"trials.training.epochs": 3},
     {"rule.band": 0.7}, {"costs.slippage_bps": 2.0}, {"runner.threads": 2}, {"data.repairs.allow_gaps": True},
     {"trials.training.bf16": True}],
    ids=str,
)  # fmt: skip
def test_the_digest_changes_with_whatever_decides(change):
    assert read_config(tiny(), changes=change).digest != read_config(tiny()).digest


@pytest.mark.parametrize("change", [{"name": "other"}, {"runner.workers": 7}, {"runner.kind": "process"}], ids=str)
def test_the_digest_does_not_change_with_who_does_the_work(change):
    assert read_config(tiny(), changes=change).digest == read_config(tiny()).digest


def test_a_penalty_decides_where_there_is_something_to_pay():
    def digest(**penalty):
        return read_config({"search": {"kind": "darts", "penalty": penalty}}).digest

    assert digest() == digest(weight=0.5) != digest(cost="macs", weight=0.5)
    assert digest(cost="macs", weight=0.2) != digest(cost="macs", weight=0.5)
    assert read_config({"search": {"kind": "fbnet", "penalty": {"weight": 0.5}}}).search.penalty.cost == "macs"


def test_the_digest_is_the_same_in_every_process():
    assert len(StudyConfig().digest) == 8
    assert read_config(tomllib.loads(StudyConfig().to_toml())).digest == StudyConfig().digest


def test_shared_weights_take_no_early_stopping():
    """Nothing would read it: ranking rows stop no supernet."""
    with pytest.raises(ConfigError, match=r"search\.training\.holdout: no such key"):
        read_config({"search": {"kind": "spos", "training": {"holdout": 0.1}}})
    assert (
        read_config({"search": {"kind": "random_search", "training": {"holdout": 0.1}}}).search.training.holdout == 0.1
    )


def test_the_champion_is_not_chosen_by_loss():
    """A rule has no loss; choosing by something else behind the user's back would be a setting ignored."""
    with pytest.raises(ConfigError, match="metric: got loss"):
        read_config({"metric": "loss"})
    assert read_config({"rank_by": "loss"}).rank_by == "loss"


def test_ops_that_mix_markets_need_several():
    space = {"kind": "chain", "ops": ["dense", "leader", "market"]}
    with pytest.raises(ConfigError, match=r"space.ops: got leader, market in a study of one .* data.symbols"):
        read_config({"space": space})
    several = read_config({"space": space, "data": {"source": "planted:leader", "symbols": "all"}})
    assert several.space.ops == ("dense", "leader", "market")


def test_a_portfolio_of_one_market_is_refused_where_it_would_be_passed_over():
    with pytest.raises(ConfigError, match="several markets to share"):
        read_config({"data": {"source": "planted:reversal"}, "portfolio": {"weights": "inverse_volatility"}})
    assert (
        read_config({"data": {"source": "planted:reversal"}, "portfolio": {"weights": "equal"}}).portfolio is not None
    )
    two = {"source": "planted:lead_lag", "symbols": "all"}
    assert read_config({"data": two, "portfolio": {"rebalance": 6}}).portfolio.rebalance == 6
