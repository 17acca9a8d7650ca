"""How far a ranking can be believed, and how many finalists that asks for."""

from __future__ import annotations

import numpy as np
import pytest

from study.tiny import tiny
from tradenas.errors import ConfigError
from tradenas.search.base import Candidate
from tradenas.space import Architecture
from tradenas.stats import chance_of_best, k_for_chance, kendall
from tradenas.study import read_config
from tradenas.study.agreement import agreement, shortlist, unmeasured


def config(**trials):
    settings = {"reps": 200, "coupling": 12, **trials}
    return read_config(tiny(rank_by="ic", trials=settings))


def candidates(scores, each=None):
    """Named by their number, best first."""
    made = [
        Candidate(Architecture({"lookback": n}), {"ic": float(s)}, () if each is None else
                  tuple({"ic": float(row[n])} for row in each))
        for n, s in enumerate(scores)
    ]  # fmt: skip
    return sorted(made, key=lambda c: -c.scores["ic"])


def world(num=60, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=num)
    ranked = candidates(truth + noise * rng.normal(size=num))
    alone = {n: (truth[n] + 0.3 * rng.normal(size=4)).tolist() for n in range(num)}
    return ranked, [(c, alone[c.architecture["lookback"]]) for c in ranked[::3]]


def test_it_measures_what_it_says():
    ranked, points = world()
    told = agreement(config(), ranked, points)
    supernet = [c.scores["ic"] for c, _ in points]
    alone = [np.mean(a) for _, a in points]
    assert told["num"] == 20
    assert told["tau"] == pytest.approx(kendall(supernet, alone).tau)
    assert told["tau_low"] < told["tau"] < told["tau_high"]
    assert told["regret"] == pytest.approx(max(alone) - alone[int(np.argmax(supernet))])
    assert told["spread"] == pytest.approx(max(alone) - min(alone))
    assert told["top_quarter"]["num"] == 5
    assert 0.4 < told["of_ceiling"]["tau"] < 1.4
    assert told["of_ceiling"]["tau_low"] < told["of_ceiling"]["tau"] < told["of_ceiling"]["tau_high"]
    assert told["supernets"] == []
    assert [c["k"] for c in told["chances"]] == [1, 2, 3, 5, 10, 20, 50, 60]
    assert told["chances"][3]["value"] == pytest.approx(chance_of_best(told["tau"], 60, 5))
    assert told["chances"][-1]["value"] == 1.0


def test_one_seed_has_no_ceiling_and_few_points_no_top():
    ranked, points = world()
    told = agreement(config(), ranked, [(c, a[:1]) for c, a in points[:6]])
    assert told["ceiling"] is told["of_ceiling"] is told["top_quarter"] is None


def test_less_is_more_where_loss_ranks():
    _, points = world()
    by_loss = read_config(tiny(rank_by="loss", trials={"reps": 200}))
    flipped = [
        (Candidate(c.architecture, {"loss": -c.scores["ic"]}), [-a for a in alone]) for c, alone in points
    ]  # fmt: skip
    a = agreement(by_loss, [c for c, _ in flipped], flipped)
    b = agreement(config(), [c for c, _ in points], points)
    assert {k: a[k] for k in ("tau", "regret", "spearman")} == pytest.approx(
        {k: b[k] for k in ("tau", "regret", "spearman")}
    )


def test_several_supernets_are_told_one_by_one_and_together():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=40)
    each = truth + rng.normal(size=(4, 40))
    ranked = candidates(each.mean(axis=0), each)
    points = [(c, [float(truth[c.architecture["lookback"]])]) for c in ranked]
    told = agreement(config(), ranked, points)
    assert len(told["supernets"]) == 4
    first = [c.each[0]["ic"] for c, _ in points]
    assert told["supernets"][0]["tau"] == pytest.approx(kendall(first, [a[0] for _, a in points]).tau)
    assert told["tau"] > np.mean([s["tau"] for s in told["supernets"]])
    assert all(1 <= p["rank_low"] <= p["rank_high"] <= 40 for p in told["points"])
    assert "rank_low" not in agreement(config(), *world())["points"][0]


MEASURED = {"tau": 0.4, "tau_low": 0.1, "tau_high": 0.6, "num": 12}


class TestShortlist:
    coupling = MEASURED

    def test_without_a_wish_it_is_top_k_and_says_what_that_is_worth(self):
        found = shortlist(config(top_k=5), self.coupling, 200)
        assert (found.taken, found["of"], found["asked"]) == (5, 200, 0.0)
        assert found["chance"] == pytest.approx(chance_of_best(0.4, 200, 5))
        assert found["low"] < found["chance"] < found["high"]
        assert found["words"].startswith("5 of 200 retrained: holds the best with 34 % (")

    def test_a_wish_is_granted_with_the_fewest(self):
        found = shortlist(config(hold_best=0.3), self.coupling, 200)
        assert found.taken == k_for_chance(0.4, 200, 0.3) == 5
        assert found["chance"] >= 0.3
        assert chance_of_best(0.4, 200, found.taken - 1) < 0.3

    def test_up_to_a_bound_that_is_named(self):
        found = shortlist(config(hold_best=0.9, top_k_max=7), self.coupling, 200)
        assert found.taken == 7
        assert f"90 % was asked for and would take {k_for_chance(0.4, 200, 0.9)}" in found["words"]

    def test_no_more_than_there_are(self):
        found = shortlist(config(top_k=5), self.coupling, 3)
        assert found.taken == 3
        assert "5 were wanted, but there are no more" in found["words"]
        assert found["chance"] == 1.0

    def test_what_was_not_measured_is_not_told(self):
        for wish in (0.0, 0.5):
            found = shortlist(config(hold_best=wish, top_k=2), unmeasured(config()), 10)
            assert found.taken == 2
            assert found["chance"] is None
            assert "nobody knows" in found["words"]
        assert "could not be measured" in found["words"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"trials": {"hold_best": 1.0}}, r"trials\.hold_best"),
        ({"trials": {"hold_best": -0.1}}, r"trials\.hold_best"),
        ({"trials": {"hold_best": 0.5, "coupling": 0}}, "coupling of 3 or more"),
        ({"trials": {"hold_best": 0.5}, "search": {"kind": "random_search"}}, "random_search"),
        ({"trials": {"top_k_max": 0}}, "top_k_max"),
        ({"trials": {"causes": {"paths": 1}}}, "takes two"),
        ({"trials": {"top_k": 9}, "space": {
            "depths": [1], "widths": [4, 8], "ops": ["dense", "conv3"], "lookbacks": [5], "norms": ["none", "layer"],
            "activations": ["relu"], "dropouts": [0.0, 0.1]}}, "at most 8, the number of different networks"),
    ],
)  # fmt: skip
def test_faulty_settings_are_named_before_anything_runs(change, word):
    with pytest.raises(ConfigError, match=word):
        read_config(change)


def test_as_many_as_there_are_is_fine():
    space = {"depths": [1], "widths": [4, 8], "ops": ["dense", "conv3"], "lookbacks": [5], "norms": ["none", "layer"],
             "activations": ["relu"], "dropouts": [0.0, 0.1]}  # fmt: skip
    assert read_config({"trials": {"top_k": 8}, "space": space}).trials.top_k == 8
