"""What every registered search method owes: the same bits after a kill, counted trials, a signal found, its source."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from search.test_resume import Plug, Stopped
from search.worlds import Told, bits, market, space, task
from tradenas.search.base import METHODS, run_search
from tradenas.search.checkpoint import load
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.evolution import Evolution
from tradenas.search.parts.oneshot import OneShot
from tradenas.space import Cell
from tradenas.train.loop import Optimisation, Training

DOCS = Path(__file__).resolve().parents[2] / "docs" / "study.md"
FEW = {
    "find": Evolution(population=6, parents=4), "num_ranked": 12, "num_trained": 4, "num_screened": 12, "stages": 2,
    "paths": 2,
}  # fmt: skip
#: What a method needs besides to be quick and to have a space it can work in.
OWN = {
    "compound": {"num_grid": 2, "steps": 2},
    "mnasnet": {"exponents": ()},  # ranked by quality alone, as the others are
    "fairnas": {"strict": False, "share_batch": False},
    "sandwich": {"num_random": 1, "supernets": 1, "parsimony": 0.0},
}
CELL = Cell(nodes=2, ops=("zero", "dense", "conv3"), cells=(1,), widths=(8,), lookbacks=(5,), transforms=("raw",))
CHOICES = space(ops=("dense", "conv3", "gated"), lookbacks=(5, 8))
SPACES = {"pcdarts": CELL.space()}


def small(kind, **training):
    """A method with few of everything it has."""
    known = {f.name: f for f in fields(METHODS[kind])}
    quick = {"epochs": 8, "segment": 32, "batch": 64, "lr": 1e-2, **training}
    default = known["training"].default_factory()
    made = Training(**quick) if isinstance(default, Training) else Optimisation(**quick)
    few = {name: value for name, value in FEW.items() if name in known}
    return METHODS[kind](training=made, **few, **OWN.get(kind, {}))


@pytest.mark.parametrize("kind", list(METHODS))
def test_it_finds_what_was_planted_and_every_score_was_counted(kind, tmp_path):
    told = Told()
    candidates = run_search(small(kind), task(told, choices=SPACES.get(kind, CHOICES)), tmp_path)
    final = {digest: scores for digest, scores, _ in told.trials if "/" not in digest}
    assert {c.architecture.digest: c.scores for c in candidates} == final
    assert len(final) + sum("/" in d for d, _, _ in told.trials) == len(told.trials)  # none told twice
    ics = [c.scores["ic"] for c in candidates if c.scores]
    assert ics == sorted(ics, reverse=True)
    assert np.median(ics[:5]) > 0.35  # of 0.6 that is there; by chance 0.05


@pytest.mark.parametrize("kind", ["spos", "progressive"])
def test_on_noise_it_finds_nothing(kind, tmp_path):
    """Negative control of the one above: the same search where nothing was planted."""
    one = task(choices=CHOICES, data=market(planted="noise"))
    candidates = run_search(small(kind, epochs=4, batch=128), one, tmp_path)
    assert np.median([c.scores["ic"] for c in candidates][:5]) < 0.2


@pytest.mark.parametrize("kind", list(METHODS))
def test_a_kill_in_the_middle_changes_no_bit(kind, tmp_path):
    method = small(kind, epochs=4, segment=64, batch=256)

    def state(folder):
        tensors, meta = load(folder, owner="me")
        return bits(tensors), meta

    def run(folder, events=None):
        one = task(choices=SPACES.get(kind, CHOICES))
        return run_search(method, one, folder, owner="me", save_every_s=0.0, **({"events": events} if events else {}))

    want = run(tmp_path / "alone"), state(tmp_path / "alone")
    for stop in {method.num_epochs() // 2, method.num_epochs() - 1}:
        with pytest.raises(Stopped):
            run(tmp_path / "killed", Plug(stop))
    assert (run(tmp_path / "killed"), state(tmp_path / "killed")) == want


@pytest.mark.parametrize("kind", list(METHODS))
def test_it_says_where_it_comes_from_and_what_can_be_set(kind):
    method = METHODS[kind]
    assert method.citation.startswith("@")
    assert all(part in method.citation for part in ("title={", "author={", "year={"))
    assert method.kind == kind
    page = DOCS.read_text(encoding="utf-8")
    part = page.split(f'## `[search]`, kind = "{kind}"')[1].split("\n## ")[0]
    shared = next((base for base in (Differentiable, OneShot) if issubclass(method, base)), None)
    common = {f.name for f in fields(shared)} if shared else set()
    for name in {f.name for f in fields(method)} - common - {"kind", "find"}:
        sections = (f'`[search.{name}]`, kind = "{kind}"', f"## `[[search.{name}]]`")
        assert f"| `{name}` |" in part or any(section in page for section in sections), name
