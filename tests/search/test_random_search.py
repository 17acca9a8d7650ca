"""Random search: distinct architectures, each trained by itself, each counted."""

from __future__ import annotations

import pytest

from search.worlds import Told, random_search, space, task
from tradenas.errors import ConfigError, DivergedError
from tradenas.search.base import METHODS, run_search
from tradenas.search.methods import RandomSearch
from tradenas.search.parts import standalone as module
from tradenas.train.evaluate import merit


def test_every_network_is_told_once_and_ranked(tmp_path):
    told = Told()
    candidates = run_search(random_search(), task(told), tmp_path)
    assert len(told.trials) == len(candidates) == 6
    assert len({d for d, _, _ in told.trials}) == 6
    assert {d: s for d, s, _ in told.trials} == {c.architecture.digest: c.scores for c in candidates}
    merits = [merit(c.scores, "ic") for c in candidates]
    assert merits == sorted(merits, reverse=True)
    assert merits[0] > 0.3  # there is something to learn


def test_a_candidate_scores_what_its_own_training_gives(tmp_path, monkeypatch):
    """Alone: what was trained before it plays no part."""
    told = Told()
    run_search(random_search(num_trained=3), task(told), tmp_path)
    one, method = task(), random_search()
    state = method.init(one)
    method.epoch(one, state, 2)
    assert state.scored[0].architecture.digest == told.trials[2][0]
    assert state.scored[0].scores == told.trials[2][1]


def test_a_small_space_is_trained_whole_and_ends(tmp_path):
    few = space(depths=(1,), widths=(4,), ops=("dense",), activations=("relu",), norms=("none",), dropouts=(0.0,))
    assert few.size() == 2
    told = Told()
    assert len(run_search(random_search(), task(told, choices=few), tmp_path)) == 2
    assert len(told.trials) == 2


def test_a_training_that_diverges_is_a_trial_and_comes_last(tmp_path, monkeypatch):
    real, calls = module.fit, []

    def sometimes(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise DivergedError("fit", got="nan")
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "fit", sometimes)
    told = Told()
    candidates = run_search(random_search(num_trained=4), task(told), tmp_path)
    assert [bool(error) for _, _, error in told.trials] == [False, True, False, False]
    assert "DivergedError" in told.trials[1][2]
    assert told.trials[1][1] == {}
    assert candidates[-1].architecture.digest == told.trials[1][0]


def test_seeds(tmp_path):
    runs = [run_search(random_search(num_trained=2), task(seed=s), tmp_path / str(i)) for i, s in enumerate((1, 1, 2))]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_faults_and_registration():
    assert METHODS["random_search"] is RandomSearch
    assert "Li, Liam" in RandomSearch.citation
    with pytest.raises(ConfigError, match=r"search\.num_trained"):
        RandomSearch(num_trained=0)
