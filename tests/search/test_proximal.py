"""Several steps on one batch: the first is REINFORCE's, the clip holds the others, and a bandit's best arm is found."""

from __future__ import annotations

import math

import pytest
import torch

from search.test_controller import BANDIT, CONDITIONAL, controller, gradients
from tradenas.search.parts.controller import Controller, Policy, Reinforce
from tradenas.search.parts.proximal import Proximal
from tradenas.seeds import rng_for


def test_the_first_step_is_that_of_reinforce_over_the_spread():
    rewards = [0.3, -0.2, 0.9, 0.1]
    made = controller(CONDITIONAL, entropy_weight=0.0)
    some = made.draw(4, rng_for(0, "a"))
    plain = gradients(made, Reinforce(made).loss(some, rewards)[0])
    one = Proximal(made, clip=0.2)
    log_p_N, _ = made(some)
    advantage_N = torch.tensor(rewards, dtype=torch.float64)
    advantage_N = (advantage_N - one.baselines(advantage_N)) / advantage_N.std(correction=0)
    first = gradients(made, -one.gain((log_p_N - log_p_N.detach()).exp(), advantage_N).mean())
    spread = float(torch.tensor(rewards).std(correction=0))
    torch.testing.assert_close(first * spread, plain, rtol=1e-6, atol=1e-9)


def test_beyond_the_clip_a_better_arm_gains_nothing_more():
    one = Proximal(Controller(BANDIT, Policy(), seed=0), clip=0.2)
    for ratio, advantage, moves in ((1.3, 1.0, False), (1.1, 1.0, True), (0.7, -1.0, False), (1.3, -1.0, True)):
        r = torch.tensor([ratio], requires_grad=True)
        one.gain(r, torch.tensor([advantage])).sum().backward()
        assert bool(r.grad.any()) == moves


@pytest.mark.parametrize("steps", [1, 4])
def test_it_learns_the_best_arm_whatever_the_sign_of_the_rewards(steps):
    torch.set_num_threads(1)
    worth = {"a": -3.0, "b": -2.0, "c": -2.5, "d": -9.0}
    made = Controller(BANDIT, Policy(size=8, lr=3e-2, steps=steps, decay=0.9, tanh_constant=4.0), seed=1)
    one = Proximal(made, clip=0.2)
    for batch in range(40):
        drawn = made.draw(8, rng_for(0, "arms", batch))
        one.update(drawn, [worth[str(a["arm"])] for a in drawn])
    every = list(BANDIT)
    chances = dict(zip((a["arm"] for a in every), made(every)[0].detach().exp().tolist(), strict=True))
    assert max(chances, key=chances.get) == "b"
    assert chances["b"] > 0.6


def test_more_steps_go_further_and_not_without_end():
    def moved(steps, clip):
        made = Controller(BANDIT, Policy(size=8, lr=1e-2, steps=steps, entropy_weight=0.0), seed=1)
        drawn = made.draw(8, rng_for(3, "arms"))
        before = made(drawn)[0].detach()
        Proximal(made, clip=clip).update(drawn, [float(a["arm"] == "a") for a in drawn])
        return float((made(drawn)[0].detach() - before).exp().sub(1.0).abs().max())

    assert moved(1, 0.2) < moved(6, 0.2)
    assert moved(60, 0.1) < moved(60, 0.9)


def test_one_that_failed_counts_as_the_lowest_and_none_at_all_is_no_step():
    made = Controller(BANDIT, Policy(size=8), seed=1)
    one, before = Proximal(made, clip=0.2), [p.detach().clone() for p in made.parameters()]
    drawn = made.draw(3, rng_for(0, "arms"))
    assert one.update(drawn, [-math.inf, math.nan, -math.inf]) == {}
    assert all(torch.equal(a, b) for a, b in zip(before, made.parameters(), strict=True))
    log = one.update(drawn, [-math.inf, 1.0, 3.0])
    assert log["reward"] == pytest.approx((1.0 + 1.0 + 3.0) / 3 + 1e-4 * log["entropy"], rel=1e-5)
