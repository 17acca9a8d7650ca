"""The controller against enumeration: its probabilities, and the gradient of REINFORCE where rewards are known."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from tradenas.errors import ConfigError, SpaceError
from tradenas.search.parts.controller import Controller, Policy, Reinforce
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Choice, SearchSpace

BANDIT = SearchSpace([Choice(name="arm", options=("a", "b", "c", "d"))])
CONDITIONAL = SearchSpace([
    Choice(name="depth", options=(1, 2)),
    Choice(name="only", options=("one",)),
    Choice(name="layer0/op", options=("x", "y", "z")),
    Choice(name="layer1/op", options=("x", "y", "z"), when={"depth": (2,)}),
    Choice(name="layer1/width", options=(4, 8), when={"layer1/op": ("y", "z")}),
])  # fmt: skip
NEEDS_ONE = SearchSpace(
    [*(Choice(name=f"in{i}", options=("off", "on")) for i in range(3)), Choice(name="two", options=(1, 2, 3), take=2)],
    not_all={f"in{i}": "off" for i in range(3)},
)
SOME_COLUMN = SearchSpace(
    [Choice(name=f"input/column/{i}", options=("raw", "drop", "rank")) for i in range(3)],
    not_all={f"input/column/{i}": "drop" for i in range(3)},
)
SPACES = {"bandit": BANDIT, "conditional": CONDITIONAL, "needs one": NEEDS_ONE, "some column": SOME_COLUMN}


def controller(space, seed=0, **changes):
    """In double precision, with weights large enough to prefer something."""
    torch.set_num_threads(1)
    made = Controller(space, Policy(**{"size": 8, **changes}), seed=seed).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(15.0)
    return made


def gradients(of, loss):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(of.parameters()), allow_unused=False)])


@pytest.mark.parametrize("name", SPACES)
def test_probabilities_of_all_architectures_sum_to_one(name):
    space = SPACES[name]
    every = list(space)
    assert len(every) == space.size()
    for seed in range(3):
        log_p_N, entropy_N = (t.detach() for t in controller(space, seed)(every))
        p_N = log_p_N.exp()
        assert float(p_N.sum()) == pytest.approx(1.0, abs=1e-12)
        assert float(p_N.max() / p_N.min()) > 1.5  # it prefers something, so there is something to get wrong
        # what is asked on the way adds up to the entropy of the whole (chain rule)
        assert float((p_N * entropy_N).sum()) == pytest.approx(float(-(p_N * log_p_N).sum()), abs=1e-12)


@pytest.mark.parametrize("name", SPACES)
def test_draws_follow_the_probabilities(name):
    space = SPACES[name]
    every = list(space)
    policy = controller(space)
    drawn = policy.draw(4000, rng_for(1, "draws"))
    assert set(drawn) <= set(every)
    counts = [drawn.count(a) for a in every]
    expected = policy(every)[0].detach().exp().numpy() * len(drawn)
    assert stats.chisquare(counts, expected).pvalue > 1e-3
    assert stats.chisquare(counts).pvalue < 1e-6  # they are not uniform
    assert policy.draw(5, rng_for(2, "x")) == policy.draw(5, rng_for(2, "x"))


def test_who_is_drawn_beside_it_changes_nothing():
    policy, every = controller(CONDITIONAL), list(CONDITIONAL)
    together = policy(every)[0]
    alone = torch.cat([policy([a])[0] for a in every])
    assert torch.allclose(together, alone, atol=1e-14)


def test_no_option_is_ever_given_up():
    policy = controller(BANDIT, tanh_constant=1.5)
    with torch.no_grad():
        policy.heads_AH.mul_(1e6)
    p_N = policy(list(BANDIT))[0].detach().exp()
    assert float(p_N.min()) >= math.exp(-3.0) / 4 - 1e-12
    hot = controller(BANDIT, temperature=1e6)(list(BANDIT))[0].exp()
    assert torch.allclose(hot, torch.full((4,), 0.25, dtype=hot.dtype), atol=1e-5)


def rewards(every):
    return {a: math.sin(3.0 * i) for i, a in enumerate(every)}


@pytest.mark.parametrize(("name", "samples"), [("bandit", 1), ("bandit", 2), ("conditional", 1)])
@pytest.mark.parametrize("baseline", [-5.0, 0.0, 0.7])
def test_the_expected_gradient_is_that_of_the_expected_reward(name, samples, baseline):
    """Enumerated over all updates: sum_k p_k (R_k - b) grad log p_k whatever b was before, `decay` times, exactly."""
    policy = controller(SPACES[name], entropy_weight=0.3, decay=0.9)
    every = list(SPACES[name])
    told = rewards(every)
    log_p_N, entropy_N = policy(every)
    reward_N = torch.tensor([told[a] for a in every], dtype=torch.float64) + 0.3 * entropy_N.detach()
    truth = -0.9 * gradients(policy, (log_p_N.exp() * reward_N).sum())
    p = dict(zip(every, log_p_N.detach().exp().tolist(), strict=True))
    mean = torch.zeros_like(truth)
    for some in product(every, repeat=samples):
        learner = Reinforce(policy)
        learner.baseline = baseline
        loss, _ = learner.loss(some, [told[a] for a in some])
        mean += math.prod(p[a] for a in some) * gradients(policy, loss)
    assert float((mean - truth).norm() / truth.norm()) < 1e-10


def test_the_mean_over_draws_is_that_gradient_too_and_a_baseline_quiets_it():
    policy = controller(BANDIT, entropy_weight=0.0, decay=0.9)
    every = list(BANDIT)
    told = {a: 10.0 + value for a, value in rewards(every).items()}
    log_p_N, _ = policy(every)
    p_N = log_p_N.exp()
    truth = -0.9 * gradients(policy, (p_N * torch.tensor(list(told.values()), dtype=torch.float64)).sum())
    found = {}
    for baseline in (0.0, 10.0):
        by_arm = {}
        for a in every:
            learner = Reinforce(policy)
            learner.baseline = baseline
            by_arm[a] = gradients(policy, learner.loss([a], [told[a]])[0])
        drawn = policy.draw(5000, rng_for(0, "monte carlo"))
        found[baseline] = torch.stack([by_arm[a] for a in drawn])
        mean, error = found[baseline].mean(0), found[baseline].std(0) / math.sqrt(len(drawn))
        assert float(((mean - truth).abs() / (error + 1e-12)).max()) < 5.0
    assert float(found[10.0].var(0).sum()) < 0.1 * float(found[0.0].var(0).sum())


def test_the_baseline_by_hand():
    learner = Reinforce(controller(BANDIT, entropy_weight=0.0))
    some = list(BANDIT)[:2]
    _, log = learner.loss(some, [1.0, 3.0])
    first = 2.0 - 0.01 * (2.0 - 1.0)  # it begins at the mean of the first update
    second = first - 0.01 * (first - 3.0)
    assert log["reward"] == 2.0
    assert learner.baseline == log["baseline"] == pytest.approx(second, abs=1e-14)
    loss, _ = learner.loss(some[:1], [5.0])
    third = second - 0.01 * (second - 5.0)
    log_p = float(learner.controller(some[:1])[0].detach())
    assert float(loss.detach()) == pytest.approx(-(5.0 - third) * log_p, abs=1e-12)


def test_entropy_is_reward_and_gets_no_gradient():
    """With no score at all, what is left is REINFORCE on entropy: not its derivative."""
    policy = controller(CONDITIONAL, entropy_weight=1.0)
    some = list(CONDITIONAL)[:4]
    learner = Reinforce(policy)
    learner.baseline = 0.0
    loss, _ = learner.loss(some, [0.0] * 4)
    log_p_N, entropy_N = policy(some)
    baselines, b = [], 0.0
    for reward in entropy_N.tolist():
        b -= 0.01 * (b - reward)
        baselines.append(b)
    by_hand = -((entropy_N.detach() - torch.tensor(baselines, dtype=torch.float64)) * log_p_N).mean()
    assert torch.allclose(gradients(policy, loss), gradients(policy, by_hand), atol=1e-14)


@pytest.mark.parametrize("shift", [0.0, -100.0])
def test_it_comes_to_prefer_the_best_of_a_planted_table(shift):
    """Negative scores do as well: only differences count."""
    every = list(CONDITIONAL)
    best = Architecture({"depth": 2, "only": "one", "layer0/op": "z", "layer1/op": "y", "layer1/width": 8})
    told = {a: shift + sum(a.get(k) == v for k, v in best.items()) for a in every}
    torch.set_num_threads(1)
    policy = Controller(CONDITIONAL, Policy(size=16, lr=1e-2, tanh_constant=2.5), seed=0)
    learner = Reinforce(policy)
    before = float(policy([best])[0].detach().exp())
    for step in range(80):
        some = policy.draw(8, rng_for(0, "planted", step))
        log = learner.update(some, [told[a] for a in some])
    p = dict(zip(every, policy(every)[0].detach().exp().tolist(), strict=True))
    assert max(p, key=p.get) == best
    assert p[best] > 10 * before > 0.2
    assert log["reward"] > max(told.values()) - 1.0


def test_a_failure_counts_as_the_lowest_and_nothing_but_failures_teaches_nothing():
    every = list(BANDIT)

    def after(scores):
        learner = Reinforce(controller(BANDIT))
        log = learner.update(every, scores)
        return log, torch.cat([p.detach().flatten() for p in learner.controller.parameters()])

    failed, lowest = after([1.0, -math.inf, 2.0, math.nan]), after([1.0, 1.0, 2.0, 1.0])
    assert failed[0] == lowest[0]
    assert torch.equal(failed[1], lowest[1])
    log, weights = after([-math.inf] * 4)
    assert log == {}
    assert torch.equal(weights, torch.cat([p.detach().flatten() for p in controller(BANDIT).parameters()]))


def test_weights_come_from_the_seed_alone():
    state = torch.get_rng_state()
    one, same, other = (Controller(CONDITIONAL, Policy(), seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])
        assert not torch.equal(tensor, other.state_dict()[name])
        assert 0.05 < float(tensor.abs().max()) <= 0.1


@pytest.mark.parametrize(
    "change",
    [{"size": 0}, {"steps": 0}, {"samples": 0}, {"lr": 0.0}, {"temperature": 0.0}, {"tanh_constant": -1.0},
     {"entropy_weight": -1e-4}, {"decay": 1.0}],
)  # fmt: skip
def test_faulty_settings_are_named(change):
    with pytest.raises(ConfigError, match=rf"search\.controller\.{next(iter(change))}"):
        replace(Policy(), **change)


def test_faulty_spaces_are_named():
    with pytest.raises(SpaceError, match="got no choices"):
        Controller(SearchSpace([]), Policy(), seed=0)
    with pytest.raises(SpaceError, match="many: got 10 of 30 options, expected at most 4,096 ways"):
        Controller(SearchSpace([Choice(name="many", options=tuple(range(30)), take=10)]), Policy(), seed=0)


def test_rewards_of_an_update_are_seen_in_order():
    """The order of an update's samples moves the baseline only by its decay."""
    learner = Reinforce(controller(BANDIT))
    some = list(BANDIT)
    ends = []
    for scores in ([0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]):
        learner.baseline = 0.0
        learner.loss(some, scores)
        ends.append(learner.baseline)
    assert ends[0] > ends[1] > 0.0
    assert np.isclose(ends[0] - ends[1], 0.01 * (1 - 0.99**3), atol=1e-4)
