"""Batch norms in a ranking: exact moments of each subnet over training rows, whatever was scored before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from search.worlds import TRAIN, bits, market, space, spos, task
from tradenas.nn import hard
from tradenas.splits import Span
from tradenas.train.stream import measure


def drifting():
    """Features whose level wanders off: each batch of rows in a row has a small variance, all together a large one."""
    data = market()
    drift_T = np.linspace(-6, 6, len(data.x_TF), dtype=np.float32)
    return replace(data, x_TF=data.x_TF + drift_T[:, None])


def trained(data):
    one = task(data=data, choices=space(norms=("batch",), lookbacks=(5,)))
    method = spos(training={"epochs": 2})
    state = method.init(one)
    for epoch in range(2):
        method.train(one, state, epoch)
    return one, state.network


def test_moments_are_those_of_all_rows_and_not_of_batches():
    one, network = trained(drifting())
    a = one.space.walk(lambda c: {"depth": 1, "layer0/op": "dense"}.get(c.name, c.options[-1]))
    network, path, x_TF = network.double(), hard(one.space, a), torch.from_numpy(one.data.x_TF).double()
    reach = network.reach(a)
    span = Span(TRAIN.stop - 512, TRAIN.stop)
    mean, variance = measure(network, x_TF, path, span, reach=reach)["layer0/dense/batch"]
    with torch.no_grad():
        inside = network.inputs(x_TF[None, span.start - reach + 1 : span.stop], path)
        rows = network.layers[0].ops["dense"](inside, 8)[0, -512:]
    want = rows.mean(0), rows.var(0, unbiased=False)
    torch.testing.assert_close(mean, want[0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(variance, want[1], rtol=1e-6, atol=1e-6)
    batches = rows.view(16, 32, -1).var(1, unbiased=False).mean(0)  # what running averages would come to
    assert float((batches / variance).min()) < 0.7


def test_a_candidate_scores_the_same_whatever_was_scored_before_and_leaves_no_trace():
    one, network = trained(drifting())
    rng = np.random.default_rng(0)
    some = list(dict.fromkeys(one.space.sample(rng) for _ in range(8)))
    before = bits(network.state_dict())
    evaluator = one.scorer.evaluator
    forwards = evaluator.score_paths(network, some)
    assert evaluator.score_paths(network, some[::-1])[::-1] == forwards
    assert [evaluator.score_paths(network, [a])[0] for a in some] == forwards
    assert bits(network.state_dict()) == before
    assert not any("mean" in name or "var" in name for name in before)  # nowhere to keep a running average
    assert len({s["ic"] for s in forwards}) > 4


def test_moments_come_from_training_rows():
    """Other validation rows, the same moments; other training rows, others."""
    one, network = trained(drifting())
    a = one.space.walk(lambda c: c.options[-1])
    span, reach = Span(TRAIN.stop - 300, TRAIN.stop), network.reach(a)
    x_TF = torch.from_numpy(one.data.x_TF.copy())

    def moments(rows):
        found = measure(network, rows, hard(one.space, a), span, reach=reach)
        return bits({f"{n}/{i}": t for n, both in found.items() for i, t in enumerate(both)})

    later, earlier = x_TF.clone(), x_TF.clone()
    later[TRAIN.stop :] += 100.0
    earlier[TRAIN.stop - 1] += 1.0
    assert moments(later) == moments(x_TF) != moments(earlier)
