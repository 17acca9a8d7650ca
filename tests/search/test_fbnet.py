"""FBNet's own: noise that sharpens, none in the end, and candidates drawn from what the alphas say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from search.worlds import QUICK, task
from search.worlds import space as chain
from tradenas.search.methods import FBNet
from tradenas.search.parts.relaxation import alphas_for
from tradenas.seeds import rng_for
from tradenas.space import Choice

ALPHAS = alphas_for([Choice(name="layer0/op", options=("a", "b", "c", "d"))], seed=3, scale=0.3)


def method(epochs=90):
    return FBNet(training=replace(QUICK, epochs=epochs), num_ranked=6, eigenvalue_every=0)


def largest(epoch):
    """The mean largest weight over draws."""
    drawn = [method().relax(ALPHAS, epoch=epoch, seed=s)["layer0/op"] for s in range(200)]
    assert all(float(w.sum()) == pytest.approx(1.0, abs=1e-5) for w in drawn)
    return float(torch.stack(drawn).max(dim=1).values.mean())


def test_weights_are_soft_at_first_and_nearly_one_option_in_the_end():
    """tau 5 is near to even (1/4), 0.087 near to one-hot; the paper's factor is exp(-0.045) an epoch."""
    assert largest(0) < 0.4 < 0.9 < largest(89)
    falls = [method().alphas.temperature.at(e, 90) for e in range(90)]
    np.testing.assert_allclose(np.diff(np.log(falls)), -0.045, atol=1e-3)
    assert falls[0] == 5.0


def test_without_a_seed_there_is_no_noise():
    w = method().relax(ALPHAS, epoch=0, seed=None)["layer0/op"]
    torch.testing.assert_close(w, torch.softmax(ALPHAS["layer0/op"], dim=0))


def test_draws_follow_the_alphas_at_any_temperature():
    p = torch.softmax(ALPHAS["layer0/op"], dim=0)
    for epoch in (0, 89):
        first = Counter(int(method().relax(ALPHAS, epoch=epoch, seed=s)["layer0/op"].argmax()) for s in range(1500))
        for option in range(4):
            share, want = first[option] / 1500, float(p[option])
            assert abs(share - want) < 4 * np.sqrt(want * (1 - want) / 1500)


def test_candidates_are_the_likeliest_and_draws_and_the_same_seed_draws_the_same():
    one, made = task(choices=chain(depths=(1,))), method(epochs=1)
    state = made.init(one)
    learner = state.learners[0]
    with torch.no_grad():
        for name, alpha in learner.alphas.items():
            alpha[-1 if name.endswith("/op") else 0] += 2.0
    space = made.candidates_from(one, state)
    drawn = [space.sample(rng_for(0, "draws")) for _ in range(1)] + [space.sample(rng_for(s, "d")) for s in range(60)]
    assert drawn[0] == made.chosen(state.space, learner.now())
    ops = Counter(a["layer0/op"] for a in drawn)
    assert ops.most_common(1)[0][0] == drawn[0]["layer0/op"]
    assert len(ops) > 1
