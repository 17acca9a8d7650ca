"""The training loop: its learning rate, its skipped steps, and weights that only their own path may move."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tradenas.errors import ConfigError, DivergedError
from tradenas.nn import Layout, Network, hard
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.loop import MAX_SKIPPED, Pass, Training, optimizer_for, train_epoch
from tradenas.train.loss import Objective
from tradenas.train.segments import Segments
from train.datasets import make_dataset

DATA = make_dataset(rows=900, features=3, planted="feature")
SPACE = Chain(
    depths=(1, 2), widths=(4, 8), ops=("dense", "conv3", "gated"), norms=("none", "layer"), dropouts=(0.0, 0.2),
    lookbacks=(5, 10), transforms=("raw",),
).space()  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def setting(**training):
    network = Network(SPACE, Layout(groups=DATA.groups, transforms=DATA.transforms), seed=0)
    training = Training(**{"epochs": 4, "segment": 16, "batch": 64, **training})
    objective = Objective.fitted(DATA, Span(0, 850))
    segments = Segments(
        DATA, Span(0, 850), reach=network.reach(), length=training.segment, objective=objective
    )  # fmt: skip
    return network, optimizer_for(network, training), segments, objective, training


def epoch_of(parts, *, epoch=0, seed=0, plan=None):
    network, optimizer, segments, objective, training = parts
    return train_epoch(
        network, optimizer, segments, objective, training, epoch=epoch, seed=seed, stream="test", plan=plan
    )  # fmt: skip


def paths_of(network, op="dense", broken=()):
    """One path a step: the same op everywhere; in broken steps the path goes through `gated`."""

    def path(step):
        name = "gated" if step in broken else op
        a = SPACE.walk(lambda c: {"depth": 1, "layer0/op": name}.get(c.name, c.options[-1]))
        return [Pass(mixture=hard(SPACE, a), reach=network.reach(a))]

    return path


def copies(network):
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def changed(network, before):
    return {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}


def test_learning_rate_warms_up_then_falls_to_zero_as_a_cosine():
    training, total = Training(lr=0.01), 200
    lr = [training.lr_at(step, total) for step in range(total + 1)]
    assert lr[0] == pytest.approx(0.01 / 11)
    assert np.allclose(np.diff(lr[:10]), 0.01 / 11)
    assert max(lr) == pytest.approx(0.01) == pytest.approx(lr[10])
    assert lr[105] == pytest.approx(0.005)
    assert lr[-1] == pytest.approx(0.0, abs=1e-12)
    assert (np.diff(lr[10:]) <= 0).all()
    assert training.lr_at(7, 200) != training.lr_at(8, 200)
    assert training.lr_at(0, 1) > 0  # a training of one step learns something


def test_the_schedule_runs_over_all_epochs(monkeypatch):
    parts = setting()
    network, optimizer, segments, _, training = parts
    rates = []
    step = optimizer.step
    monkeypatch.setattr(optimizer, "step", lambda: (rates.append({g["lr"] for g in optimizer.param_groups}), step())[1])
    for epoch in range(training.epochs):
        epoch_of(parts, epoch=epoch, plan=paths_of(network))
    flat = [rate for (rate,) in rates]
    per_epoch = segments.steps(targets=training.batch)
    assert len(flat) >= 4 * per_epoch - 4
    assert flat.index(max(flat)) < 0.1 * len(flat)
    assert max(flat) == pytest.approx(training.lr, rel=0.01)
    assert flat[-1] < 0.02 * training.lr


def test_only_the_weights_of_sampled_paths_move_and_the_rest_not_even_by_decay_or_momentum():
    parts = setting(weight_decay=0.5)
    network = parts[0]
    before = copies(network)
    epoch_of(parts, plan=paths_of(network, "conv3"))
    moved = changed(network, before)
    assert {n for n in moved if ".ops." in n} == {"layers.0.ops.conv3.conv.weight", "layers.0.ops.conv3.conv.bias"}
    assert not any(n.startswith(("heads.2", "layers.1")) for n in moved)
    middle = copies(network)
    epoch_of(parts, epoch=1, plan=paths_of(network, "dense"))
    still = {n for n in moved if n not in changed(network, middle)}
    assert {"layers.0.ops.conv3.conv.weight", "layers.0.ops.conv3.conv.bias"} <= still


def test_gains_and_shifts_do_not_decay():
    _, optimizer, *_ = setting(weight_decay=0.3)
    assert [(g["weight_decay"], {p.ndim > 1 for p in g["params"]}) for g in optimizer.param_groups] == [
        (0.3, {True}), (0.0, {False}),
    ]  # fmt: skip
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(setting()[0].parameters()))


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_path_that_explodes_is_skipped_and_leaves_the_shared_weights_alone(what):
    parts = setting()
    network = parts[0]
    with torch.no_grad():
        for name, p in network.named_parameters():
            if ".gated." in name:
                p.fill_(math.nan if what == "loss" else 0.0)
    if what == "gradient":
        weight = next(p for n, p in network.named_parameters() if "layers.0.ops.gated" in n)
        weight.register_hook(lambda g: g * math.inf)
    every = paths_of(network, "dense", broken=range(0, 100, 3))
    clean_steps, losses = [], []
    before = copies(network)
    log = epoch_of(parts, plan=lambda step: (clean_steps.append(step), every(step))[1])
    losses.append(log["loss"])
    assert log["skipped"] == len([s for s in clean_steps if s % 3 == 0])
    assert math.isfinite(log["loss"])
    moved = changed(network, before)
    assert "layers.0.ops.dense.linear.weight" in moved or any("ops.dense" in n for n in moved)
    assert all(bool(torch.isfinite(p).all()) for n, p in network.named_parameters() if "gated" not in n)
    state = parts[1].state
    assert all(bool(torch.isfinite(m["exp_avg"]).all()) for p, m in state.items() if "exp_avg" in m)


def test_skipped_steps_change_nothing_at_all():
    """Clean steps after a skipped one: weights are those of a training in which it never was (but for the moments)."""
    one, two = setting(), setting()
    for parts, broken in ((one, ()), (two, range(1))):
        with torch.no_grad():
            for name, p in parts[0].named_parameters():
                if ".gated." in name:
                    p.fill_(math.nan)
        seen = []
        path = paths_of(parts[0], "dense", broken=broken)

        def first_only(step, path=path, seen=seen):
            seen.append(step)
            if step > 0:
                raise KeyboardInterrupt
            return path(step)

        start = copies(parts[0])
        with pytest.raises(KeyboardInterrupt):
            epoch_of(parts, plan=first_only)
        moved = {n for n in changed(parts[0], start) if "gated" not in n}
        assert bool(moved) == (not broken)
        assert bool(parts[1].state) == (not broken)


def test_twenty_bad_steps_in_a_row_are_a_divergence():
    parts = setting(segment=8, batch=8)
    network = parts[0]
    with torch.no_grad():
        next(p for n, p in network.named_parameters() if "ops.gated" in n).fill_(math.nan)
    with pytest.raises(DivergedError, match=f"{MAX_SKIPPED} steps in a row"):
        epoch_of(parts, plan=paths_of(network, "gated"))
    short = paths_of(network, "dense", broken=[s for s in range(500) if s % MAX_SKIPPED])
    assert epoch_of(parts, plan=short)["skipped"] > 3 * MAX_SKIPPED  # 19 in a row, again and again, are not


def test_an_epoch_without_one_good_step_is_a_divergence_too():
    """Fewer than twenty steps an epoch must not hide it: the loss would read 0."""
    parts = setting(batch=850)
    network = parts[0]
    with torch.no_grad():
        next(p for n, p in network.named_parameters() if "ops.gated" in n).fill_(math.nan)
    with pytest.raises(DivergedError, match="no step out of"):
        epoch_of(parts, plan=paths_of(network, "gated"))


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    def trained(seed, noise):
        parts = setting()
        torch.manual_seed(noise)  # the global generator must not matter
        logs = [epoch_of(parts, epoch=e, seed=seed, plan=paths_of(parts[0])) for e in range(2)]
        return logs, copies(parts[0])

    (logs, weights), (same_logs, same), (other_logs, _) = trained(1, 5), trained(1, 6), trained(2, 5)
    assert logs == same_logs
    assert all(torch.equal(weights[n], same[n]) for n in weights)
    assert logs != other_logs


def test_gradients_are_clipped(monkeypatch):
    parts = setting(clip=1e-3)
    network, optimizer, *_ = parts
    norms = []
    step = optimizer.step

    def watched():
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        norms.append(float(torch.cat([g.flatten() for g in grads]).norm()))
        return step()

    monkeypatch.setattr(optimizer, "step", watched)
    epoch_of(parts, plan=paths_of(network))
    assert norms
    assert max(norms) <= 1.01e-3


@pytest.mark.parametrize(
    ("change", "place"),
    [({"epochs": 0}, "epochs"), ({"lr": 0.0}, "lr"), ({"lr": math.nan}, "lr"), ({"holdout": 1.0}, "holdout"),
     ({"weight_decay": -1.0}, "weight_decay"), ({"segment": 0}, "segment"), ({"batch": 0}, "batch"),
     ({"clip": -1.0}, "clip"), ({"patience": -1}, "patience")],
)  # fmt: skip
def test_faulty_settings_are_named(change, place):
    with pytest.raises(ConfigError, match=rf"training\.{place}"):
        Training(**change)
