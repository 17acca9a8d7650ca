"""A search stopped after any epoch and taken up again ends with the bits of one that was left alone."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch

from search.worlds import Told, bits, one_shot, random_search, spos, task
from tradenas.errors import FolderError
from tradenas.events import Events
from tradenas.search import base
from tradenas.search.base import run_search
from tradenas.search.checkpoint import load
from tradenas.search.parts.evolution import Evolution
from tradenas.search.parts.supernet import SupernetState


class Stopped(BaseException):
    """Somebody pulled the plug."""


class Plug(Events):
    """Pulls it after some epoch: before its state is saved, which is the worst moment."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def write(self, kind, **fields):
        if kind == "epoch" and fields["epoch"] == self.after:
            raise Stopped


def small_spos():
    """Three epochs and three generations."""
    return spos(training={"epochs": 3, "segment": 64, "batch": 256}, num_ranked=9, find=Evolution(population=4))


def small(kind, **changes):
    """The same of any one-shot method."""
    training = {"epochs": 3, "segment": 64, "batch": 256, **changes.pop("training", {})}
    return one_shot(kind, **{"training": training, "num_ranked": 9, "find": Evolution(population=4), **changes})


def small_random():
    """Three networks."""
    return random_search(training={"epochs": 1, "segment": 64, "batch": 256}, num_trained=3)


METHODS = {
    "spos": small_spos,
    "random_search": small_random,
    "path_dropout": lambda: small("path_dropout"),
    "fairnas": lambda: small("fairnas", strict=False, share_batch=False),
    "sandwich": lambda: small("sandwich"),
    "progressive": lambda: small("progressive", stages=2, paths=2, supernets=2, training={"epochs": 2}),
    "pdarts": lambda: small(
        "pdarts", supernets=2, training={"epochs": 3}, keep=(1.0, 0.5, 0.5), skip_dropout=(0.0, 0.3, 0.6), num_ranked=4
    ),
    "perturbation": lambda: small("darts", select="perturbation", tune=3, training={"epochs": 1}, num_ranked=4),
    "once_for_all": lambda: small("once_for_all", supernets=2, training={"epochs": 4}, num_ranked=4),
}


def outcome(method, folder, told, *, stops=(), save_every_s=0.0):
    """Candidates and the last saved state of a search that is stopped after each of these epochs."""
    flushed = []

    def run(events):
        torch.manual_seed(random.randrange(10**6))  # global generators must not matter
        np.random.seed(0)  # noqa: NPY002
        return run_search(
            method, task(told), folder, events=events, owner="me", save_every_s=save_every_s,
            before_save=lambda: flushed.append(len(told.trials)),
        )  # fmt: skip

    for stop in stops:
        with pytest.raises(Stopped):
            run(Plug(stop))
    candidates = run(Events())
    assert flushed
    tensors, meta = load(folder, owner="me")
    return candidates, bits(tensors), meta


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory):
    """What searches give that nobody stops."""
    return {name: outcome(make(), tmp_path_factory.mktemp(name), Told()) for name, make in METHODS.items()}


@pytest.mark.parametrize(("name", "stop"), [(n, k) for n in METHODS for k in range(METHODS[n]().num_epochs())])
def test_stopped_once_after_any_epoch(left_alone, tmp_path, name, stop):
    told = Told()
    assert outcome(METHODS[name](), tmp_path, told, stops=[stop]) == left_alone[name]
    unique = {digest: (scores, error) for digest, scores, error in told.trials}
    assert sum("/" not in trial for trial in unique) == len(left_alone[name][0])  # but for looks on the way
    assert all(unique[d] == (s, e) for d, s, e in told.trials)  # what is told again is told alike


@pytest.mark.parametrize("name", METHODS)
def test_stopped_again_and_again_with_few_saves(left_alone, tmp_path, name):
    """No save but the last: each start begins anew, and ends alike."""
    told = Told()
    stops = [METHODS[name]().num_epochs() - 1, 1]
    assert outcome(METHODS[name](), tmp_path, told, stops=stops, save_every_s=1e9) == left_alone[name]
    assert outcome(METHODS[name](), tmp_path / "more", Told(), stops=[1, 2, 2]) == left_alone[name]


@pytest.mark.parametrize("name", METHODS)
def test_a_finished_search_taken_up_again_says_the_same(left_alone, tmp_path, name):
    told = Told()
    outcome(METHODS[name](), tmp_path, told)
    count = len(told.trials)
    assert outcome_again(METHODS[name](), tmp_path, told) == left_alone[name][0]
    assert len(told.trials) == count


def outcome_again(method, folder, told):
    return run_search(method, task(told), folder, owner="me")


def test_what_was_told_is_durable_before_the_state_that_counts_on_it(tmp_path, monkeypatch):
    """A ledger that writes 64 trials at a time would lose those a saved state does not tell again."""
    order = []
    real = base.save
    monkeypatch.setattr(base, "save", lambda *a, **k: (order.append("save"), real(*a, **k))[1])
    method = small_spos()
    run_search(method, task(), tmp_path, save_every_s=0.0, before_save=lambda: order.append("flush"))
    assert order == ["flush", "save"] * method.num_epochs()


@pytest.mark.parametrize("part", ["optimizer", "weights", "scores", "learning rate"])
def test_a_part_that_is_not_restored_shows(left_alone, tmp_path, monkeypatch, part):
    """Negative control: each part of the state is needed for the same bits."""
    real = SupernetState.restore

    def forgetful(self, tensors, meta):
        if part == "optimizer":
            self.network.load_state_dict(
                {k.removeprefix("weight/0/"): v for k, v in tensors.items() if k.startswith("weight/0/")}
            )
            return
        if part == "weights":
            fresh = {f"weight/0/{k}": v.clone() for k, v in self.network.state_dict().items()}
            tensors = {**tensors, **fresh}
        if part == "scores":
            meta = {**meta, "scored": []}
        real(self, tensors, meta)
        if part == "learning rate":
            for group in self.optimizers[0].param_groups:
                group["betas"] = (0.5, 0.5)

    monkeypatch.setattr(SupernetState, "restore", forgetful)
    stop = 5 if part == "scores" else 1  # where the state saved before holds what is to be forgotten
    assert outcome(small_spos(), tmp_path, Told(), stops=[stop]) != left_alone["spos"]


def test_a_state_of_another_study_is_refused(tmp_path):
    run_search(random_search(num_trained=1), task(), tmp_path, owner="me")
    with pytest.raises(FolderError, match="the state of 'me'"):
        run_search(random_search(num_trained=1), task(), tmp_path, owner="you")


def test_optimizer_state_comes_back_bit_for_bit(tmp_path):
    """Moments, step counts, learning rates and betas, also of weights that no path reached yet."""
    method, one = spos(), task()
    state = method.init(one)
    method.epoch(one, state, 0)
    assert len(state.optimizers[0].state_dict()["state"]) <= len(list(state.network.parameters()))
    other = method.init(one)
    other.restore({k: v.clone() for k, v in state.tensors().items()}, json.loads(json.dumps(state.meta())))
    assert bits(other.tensors()) == bits(state.tensors())
    assert other.meta() == state.meta()
    for mine, theirs in zip(other.optimizers[0].param_groups, state.optimizers[0].param_groups, strict=True):
        assert {k: v for k, v in mine.items() if k != "params"} == {k: v for k, v in theirs.items() if k != "params"}
