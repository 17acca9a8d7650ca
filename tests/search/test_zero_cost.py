"""Untrained networks ranked first: what is then trained, and with what a one-shot search starts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from search.worlds import QUICK, Told, spos, task
from tradenas.errors import ConfigError
from tradenas.search.base import METHODS, run_search
from tradenas.search.methods import ZeroCost
from tradenas.search.parts.evolution import Evolution, sample_distinct
from tradenas.search.parts.proxies import proxy_scores


def zero_cost(**changes):
    """Three of thirty."""
    settings = {"training": replace(QUICK, epochs=1), "num_trained": 3, "num_screened": 30, "proxies": ("macs",)}
    return ZeroCost(**{**settings, **changes})


def test_the_best_of_those_screened_are_trained_and_only_they_are_trials(tmp_path):
    told = Told()
    one = task(told)
    candidates = run_search(zero_cost(), one, tmp_path)
    drawn = sample_distinct(one.space, 30, seed=0, stream="random_search")
    macs = dict(zip(drawn, proxy_scores(one, drawn, "macs", 0), strict=True))
    best = sorted(drawn, key=lambda a: (-macs[a], a.digest))[:3]
    assert [d for d, _, _ in told.trials] == [a.digest for a in best]
    assert {c.architecture for c in candidates} == set(best)
    assert METHODS["zero_cost"] is ZeroCost
    assert "Abdelfattah" in ZeroCost.citation


def test_each_proxy_has_its_own_favourites():
    names = ("synflow", "naswot", "jacob_cov", "grad_norm", "params")
    one = task()
    firsts = {name: tuple(zero_cost(proxies=(name,)).wanted(one)) for name in names}
    assert len(set(firsts.values())) >= 4
    both = zero_cost(proxies=("synflow", "naswot"), num_trained=30).wanted(one)
    assert sorted(a.digest for a in both) == sorted(a.digest for a in zero_cost(num_trained=30).wanted(one))
    assert len(both) == 30


def test_what_is_wanted_survives_a_restart_and_is_not_screened_again(monkeypatch):
    one, method = task(), zero_cost()
    state = method.init(one)
    method.epoch(one, state, 0)
    again = method.init(one)
    again.restore(state.tensors(), json.loads(json.dumps(state.meta())))
    monkeypatch.setattr(ZeroCost, "wanted", lambda self, task: pytest.fail("screened twice"))
    method.epoch(one, again, 1)
    assert [c.architecture for c in again.scored] == state.wanted[:2]


def test_faults():
    with pytest.raises(ConfigError, match=r"search\.num_screened: got 2, expected search\.num_trained = 3"):
        zero_cost(num_screened=2)
    with pytest.raises(ConfigError, match=r"search\.proxies: got none"):
        zero_cost(proxies=())
    with pytest.raises(ConfigError, match="Did you mean 'naswot'"):
        zero_cost(proxies=("naswott",))
    with pytest.raises(ConfigError, match="Did you mean 'synflow'"):
        spos(warm_start="sinflow")


def test_a_warm_start_scores_the_best_tenth_first():
    """Ten times the population is proposed, the largest by macs are scored; then evolution goes on from them."""
    finder = Evolution(population=5, parents=4)
    one, warm, cold = task(), spos(find=finder, warm_start="macs"), spos(find=finder)
    first, second, bred = {}, {}, {}
    for name, method in (("warm", warm), ("cold", cold)):
        state = method.init(one)
        method.generation(one, state, 0)
        first[name] = [c.architecture for c in state.scored]
        bred[name] = finder.propose(one.space, method.history(one, state), 5, generation=1, seed=0)
        method.generation(one, state, 1)
        second[name] = [c.architecture for c in state.scored[5:]]
    drawn = sample_distinct(one.space, 50, seed=0, stream="population/0")
    assert first["cold"] == drawn[:5]
    macs = dict(zip(drawn, proxy_scores(one, drawn, "macs", 0), strict=True))
    assert first["warm"] == sorted(drawn, key=lambda a: (-macs[a], a.digest))[:5]
    assert second == bred
    assert second["warm"] != second["cold"]
