"""Why a supernet errs: each cause planted alone is found, and is not found where it was not planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from search.worlds import QUICK, Told, market, space, spos, task
from tradenas.errors import ConfigError
from tradenas.nn import Mode, hard
from tradenas.search.parts import interference as gradients
from tradenas.search.parts.causes import CauseBudget, causes
from tradenas.search.parts.evolution import sample_distinct
from tradenas.search.parts.interference import interference
from tradenas.search.parts.repairs import _features, _ridge, longer, refit_head, refitted
from tradenas.train.loss import Objective
from tradenas.train.segments import Segments

SMALL = {"norms": ("none",), "dropouts": (0.0,), "activations": ("tanh",), "lookbacks": (5,)}
FAST = CauseBudget(paths=8, rows=384, epochs=1)
HOW = replace(QUICK, lr=1e-2, batch=64)


def trained(epochs, one):
    method = spos(training={"epochs": max(1, epochs), "lr": 4e-3, "batch": 64})
    state = method.init(one)
    for epoch in range(epochs):
        method.train(one, state, epoch)
    return method, state


@pytest.fixture(scope="module")
def ready():
    """A supernet trained long enough, and eight of its paths."""
    one = task(choices=space(**SMALL))
    method, state = trained(15, one)
    return one, method, state, sample_distinct(one.space, 8, seed=5, stream="test")


@pytest.fixture(scope="module")
def sound(ready):
    one, method, state, paths = ready
    return causes(one, state.network, paths, training=method.training, budget=FAST, updates=state.updates, reps=200)


class TestUndertraining:
    def test_one_epoch_is_found_and_many_are_not(self, ready, sound):
        one, _, _, paths = ready
        method, state = trained(1, one)
        short = causes(
            one, state.network, paths, training=method.training, budget=replace(FAST, epochs=2),
            updates=state.updates, reps=200,
        )  # fmt: skip
        assert short.undertraining.state == "found"
        assert "Train longer" in short.undertraining.advice
        assert short.longer.new.low > 0.05
        assert sound.undertraining.state == "not found"
        assert sound.longer.new.high < 0.05

    def test_updates_are_those_that_were_counted(self, ready, sound):
        one, _, state, _ = ready
        had = {
            f"{n} = {o}": c for n, cs in state.updates.items() for o, c in zip(one.space[n].options, cs, strict=True)
        }
        assert sound.updates.fewest == had[sound.updates.rarest]
        assert sound.updates.fewest == min(
            c for p, c in had.items() if (p.startswith("depth") or "/op" in p) and "skip" not in p
        )
        assert sound.updates.steps == pytest.approx(sum(state.updates["depth"]), rel=0.15)
        assert 0 < sound.updates.stuck < sound.updates.parts == 8
        assert sound.updates.rarest in sound.undertraining.advice

    def test_training_on_is_another_draw_of_paths_and_leaves_the_supernet_alone(self, ready):
        one, method, state, paths = ready
        before = {k: v.clone() for k, v in state.network.state_dict().items()}
        first = longer(one, state.network, paths, training=method.training, epochs=1)
        assert first == longer(one, state.network, paths, training=method.training, epochs=1)
        assert first != one.scorer.evaluator.score_paths(state.network, paths)
        assert all(torch.equal(v, before[k]) for k, v in state.network.state_dict().items())


class TestInterference:
    def opposed(self):
        """dense and conv3 made to say the opposite of each other to the same head."""
        one = task(choices=space(**{**SMALL, "depths": (1,), "ops": ("dense", "conv3"), "widths": (8,),
                                    "lookbacks": (5, 10)}))  # fmt: skip
        network = one.network()
        with torch.no_grad():
            dense, conv = network.layers[0].ops["dense"].linear, network.layers[0].ops["conv3"]
            weights = dict(conv.named_parameters())
            for name, p in weights.items():
                p.zero_()
                if p.ndim == 4:
                    p[:, :, 0, -1] = -dense.weight
                else:
                    assert name.endswith("bias")
            network.heads["1"].weight.zero_()
        return one, network

    def test_ops_forced_apart_are_found_at_the_head(self):
        one, network = self.opposed()
        found = interference(one, network, list(one.space), rows=384, segment=32)
        by_kind = {c.kind: c for c in found.kinds}
        head = by_kind["heads"]
        assert found.paths == 4
        assert head.pairs == 6
        assert head.negative == pytest.approx(4 / 6)  # dense against conv3, each with either lookback
        assert head.floor.value > 0.8
        assert head.agreement.value == pytest.approx(-1 / 3, abs=0.05)
        assert by_kind["input filters"].negative == 0.0
        assert by_kind["input filters"].agreement.low > 0.9
        assert found.parts[0].part == "head of depth 1"

    def test_and_the_finding_says_so(self):
        _, network = self.opposed()
        wide = task(choices=space(**{**SMALL, "depths": (1,), "ops": ("dense", "conv3"), "widths": (8,),
                                     "lookbacks": (3, 4, 5, 6, 8, 10)}))  # fmt: skip
        wider = wide.network()
        wider.load_state_dict({**wider.state_dict(), **{
            k: v for k, v in network.state_dict().items() if not k.startswith("inputs")}})  # fmt: skip
        told = causes(wide, wider, list(wide.space)[::2], training=HOW, budget=replace(FAST, paths=12), reps=100)
        assert told.interference.state == "found"
        assert "heads" in told.interference.advice
        same = task(choices=space(**{**SMALL, "depths": (1,), "ops": ("dense",), "widths": (8,),
                                     "lookbacks": (3, 4, 5, 6, 8, 10)}))  # fmt: skip
        alike = causes(same, same.network(), list(same.space), training=HOW, budget=FAST, reps=100)
        assert alike.interference.state == "not found"

    def test_gradients_are_those_of_the_path_in_the_supernet(self, ready):
        one, _, state, paths = ready
        network, a = state.network, next(p for p in paths if p["depth"] == 2)
        objective = Objective.fitted(one.data, one.train)
        segments = Segments(one.data, one.train, reach=network.reach(), length=32, objective=objective)
        first, covered = segments.cut(np.random.default_rng(0))
        got = gradients._gradient(
            network.inherit(network.space.fix(a)), a, segments, objective, first[:20], covered[:20]
        )
        network.zero_grad(set_to_none=True)
        total, rows = 0.0, 0.0
        for at in range(20):  # a segment at a time: the mean over all their rows
            batch = segments.batch(first[at : at + 1], covered[at : at + 1])
            mode = Mode(training=True, scored=32)
            signal = network(batch.x_BTF[:, segments.reach - network.reach(a) :], hard(network.space, a), mode)
            total = total + objective.loss(signal[:, -32:], batch.y_BS, batch.weight_BS) * batch.weight_BS.sum()
            rows += float(batch.weight_BS.sum())
        (total / rows).backward()
        for name, gradient in got.items():
            whole = dict(network.named_parameters())[name].grad.double()
            mine = whole[tuple(slice(0, n) for n in gradient.shape)]
            assert torch.allclose(mine, gradient, rtol=1e-3, atol=1e-5 * float(whole.norm())), name
            assert float(whole.norm()) == pytest.approx(float(mine.norm()))  # nothing outside the slice
        network.zero_grad(set_to_none=True)

    def test_noise_pulls_all_paths_alike_and_is_no_agreement(self):
        """Labels of nothing: on the same rows the shared filters are pulled one way, on others they are not."""
        data = market()
        noise = np.random.default_rng(8).normal(size=len(data)).astype(np.float32) * float(np.nanstd(data.y_T))
        one = task(data=replace(data, y_T=noise), choices=space(**SMALL))
        found = interference(
            one, one.network(), sample_distinct(one.space, 6, seed=1, stream="x"), rows=384, segment=32
        )
        taps = next(c for c in found.kinds if c.kind == "input filters")
        assert taps.same_rows.low > 0.9
        assert abs(taps.other_rows.value) < 0.5
        assert abs(taps.other_rows.value - taps.floor.value) < 0.1

    def test_paths_without_a_shared_weight_have_none(self):
        one = task(choices=space(**SMALL))
        assert interference(one, one.network(), sample_distinct(one.space, 1, seed=0, stream="x")) is None


class TestCoadaptation:
    def test_heads_that_fit_other_paths_are_found(self, ready):
        """Shared heads turned round: the ops know what they knew, and a head of its own brings each path back."""
        one, method, state, paths = ready
        paths = sample_distinct(one.space, 12, seed=6, stream="test")
        good = [s["ic"] for s in refitted(one, state.network, paths)]
        broken = one.network()
        broken.load_state_dict(state.network.state_dict())
        with torch.no_grad():
            for head in broken.heads.values():
                head.weight.copy_(head.weight.flip(1))
        told = causes(
            one, broken, paths, training=method.training, budget=FAST, alone_N=np.array(good), reps=200
        )  # fmt: skip
        assert told.coadaptation.state == "found", told.refitted
        assert told.refitted.gain.low > 0.0
        assert "path dropout" in told.coadaptation.advice

    def test_without_standalone_trainings_it_is_left_open_or_denied(self, sound):
        assert sound.refitted.gain is None
        assert sound.coadaptation.state in ("open", "not found")

    def test_a_head_fitted_anew_lowers_the_loss_of_its_rows_and_touches_nothing_else(self, ready):
        one, _, state, paths = ready
        with torch.no_grad():
            broken = one.network()
            broken.load_state_dict(state.network.state_dict())
            for head in broken.heads.values():
                head.weight.neg_()
        alone = refit_head(one, broken, paths[0])
        for name, tensor in broken.inherit(one.space.fix(paths[0])).state_dict().items():
            assert torch.equal(tensor, alone.state_dict()[name]) is not name.startswith("heads"), name
        scores = [one.scorer.evaluator.score_paths(n, [paths[0]])[0]["loss"] for n in (broken, alone)]
        assert scores[1] < scores[0] - 0.01

    @pytest.mark.parametrize("kind", ["regression", "binary"])
    def test_the_ridge_is_where_its_gradient_vanishes(self, kind):
        rng = np.random.default_rng(0)
        h = np.concatenate([rng.normal(size=(300, 3)), np.ones((300, 1))], axis=1)
        output, rows = 0.3 * rng.normal(size=300), np.arange(300) < 200
        y = (
            (rng.random(300) < 0.5).astype(float)
            if kind == "binary"
            else h @ [1.0, -2.0, 0.0, 0.5] + rng.normal(size=300)
        )
        for penalty in (1e-12, 0.1, 10.0):
            change = _ridge(h, output, y, rows, penalty, kind)
            signal = output[rows] + h[rows] @ change
            error = y[rows] - (1 / (1 + np.exp(-signal)) if kind == "binary" else signal)
            hold = penalty * 200 * np.append(h[rows, :3].var(axis=0), 0.0)
            assert h[rows].T @ error - hold * change == pytest.approx(np.zeros(4), abs=1e-5)
        assert _ridge(h, output, y, rows, np.inf, kind).tolist() == [0, 0, 0, 0]

    def test_features_are_what_the_head_reads(self, ready):
        one, _, state, paths = ready
        for a in paths[:3]:
            alone = state.network.inherit(one.space.fix(a))
            h, output = _features(one, alone, a, alone.reach(a))
            head = alone.heads[str(a["depth"])]
            taps = output - (h[:, :-1] @ head.weight.detach().double().numpy()[0] + head.bias.item())
            with torch.no_grad():
                head.weight.zero_()
                head.bias.zero_()
            _, highway = _features(one, alone, a, alone.reach(a))
            assert taps == pytest.approx(highway, abs=1e-4)
            assert len(h) == len(one.train)


def test_nothing_is_told_to_the_ledger():
    told = Told()
    one = task(told, choices=space(**SMALL))
    paths = sample_distinct(one.space, 3, seed=0, stream="x")
    causes(one, one.network(), paths, training=HOW, budget=FAST, reps=20)
    assert told.trials == []


def test_scores_that_cannot_be_told_leave_all_open():
    """Batch norms, a loss to rank by, and a network that says nothing finite."""
    one = task(choices=space(depths=(1,), activations=("tanh",), dropouts=(0.1,)), metric="loss")
    network = one.network()
    paths = sample_distinct(one.space, 5, seed=0, stream="x")
    fine = causes(one, network, paths, training=HOW, budget=FAST, alone_N=np.arange(5.0), reps=50)
    assert fine.longer.gain is not None
    with torch.no_grad():
        network.heads["1"].weight.fill_(float("nan"))
    with pytest.raises(Exception, match="finite"):
        causes(one, network, paths, training=HOW, budget=FAST, reps=20)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: CauseBudget(paths=-1), "paths"),
        (lambda: CauseBudget(paths=1), "takes two"),
        (lambda: CauseBudget(rows=0), "rows"),
        (lambda: CauseBudget(epochs=0), "epochs"),
        (lambda: causes(None, None, [1, 2], training=HOW), "3 or more"),
        (lambda: causes(None, None, [1, 2, 3], training=HOW, budget=CauseBudget(paths=0)), "paths"),
    ],
)
def test_bad_input_is_refused(make, word):
    with pytest.raises(ConfigError, match=word):
        make()
