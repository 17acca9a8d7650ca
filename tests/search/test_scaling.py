"""Grown networks: what is rounded to what, what the work really grows with, and the family that is trained."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from search.worlds import QUICK, Told, market, task
from search.worlds import space as chain
from tradenas.cost import macs
from tradenas.errors import ConfigError, SpaceError
from tradenas.nn import Layout, Network
from tradenas.search.base import METHODS, run_search
from tradenas.search.parts.scaling import Factors, exponents, grid, nearest, scaled
from tradenas.space import Cell, Chain, Choice

RICH = Chain(
    depths=(1, 2, 3, 4, 6), ops=("dense", "conv3"), widths=(4, 6, 8, 12, 16, 24, 32), lookbacks=(5, 10, 20, 40, 80),
    norms=("none",), activations=("relu",), dropouts=(0.0,), transforms=("raw",),
)  # fmt: skip
SPACE = RICH.space()
SIZED = {
    "depth": 2, "input/lookback": 10, "layer0/op": "conv3", "layer0/width": 8, "layer1/op": "dense", "layer1/width": 6,
}  # fmt: skip
BASE = SPACE.walk(lambda c: SIZED.get(c.name, c.options[0]))


def counted(space):
    cost = macs(Network(space, Layout(groups=("trend",) * 3, transforms=("raw",))))
    return cost.exact


def test_new_layers_take_what_stands_at_their_place():
    grown = scaled(SPACE, BASE, Factors(depth=1.9, width=2.0, lookback=2.2))
    assert grown["depth"] == 4  # 3.8 layers are 4
    assert [grown[f"layer{i}/op"] for i in range(4)] == ["conv3", "conv3", "dense", "dense"]
    assert [grown[f"layer{i}/width"] for i in range(4)] == [16, 16, 12, 12]
    assert grown["input/lookback"] == 20
    assert scaled(SPACE, BASE, Factors()) == BASE


def test_sizes_go_to_the_nearest_by_ratio_and_end_where_the_space_does():
    sizes = Choice(name="w", options=(4, 8, 32))
    assert [nearest(sizes, s) for s in (5.5, 5.8, 15.0, 17.0, 900.0)] == [4, 8, 8, 32, 32]
    assert [nearest(sizes, s, upwards=True) for s in (4.0, 4.1, 900.0)] == [4, 8, 32]


def test_cells_grow_in_cells_and_width():
    space = Cell(nodes=2, ops=("dense", "skip"), cells=(1, 2, 4), widths=(4, 8, 16), lookbacks=(5, 10)).space()
    grown = scaled(space, space.smallest(), Factors(depth=2.0, width=2.0, lookback=2.0))
    assert (grown["cells"], grown["cell/width"], grown["input/lookback"]) == (2, 8, 10)


def test_what_the_work_grows_with_is_not_what_the_paper_says():
    """Depth about 1, width less than 2, lookback nearly 0: one filter bank beside the layers, read once a row."""
    found = exponents(SPACE, BASE, counted(SPACE))
    assert 0.5 < found["depth"] < 1.5
    assert 1.0 < found["width"] < 2.0
    assert 0.0 < found["lookback"] < 0.5
    image = {"depth": 1.0, "width": 2.0, "lookback": 2.0}  # and the same question put to a network that is one
    work = lambda a: a["depth"] * a["layer0/width"] ** 2 * a["input/lookback"] ** 2  # noqa: E731
    assert exponents(SPACE, BASE, work) == pytest.approx(image)


@pytest.mark.parametrize("constraint", ["measured", "paper"])
def test_the_grid_keeps_to_its_constraint(constraint):
    work = counted(SPACE)
    ways = grid(SPACE, BASE, work, growth=2.0, constraint=constraint, num=9)
    assert 3 <= len(ways) <= 9
    assert len({a for _, a in ways}) == len(ways)
    growth = [work(a) / work(BASE) for _, a in ways]
    paper = [f.paper for f, _ in ways]
    kept, other = (growth, paper) if constraint == "measured" else (paper, growth)
    assert all(2 / 1.2 <= g <= 2 * 1.2 + 1e-9 for g in kept)
    assert max(abs(math.log(g / 2)) for g in other) > math.log(1.2)  # the one is not the other
    assert all(scaled(SPACE, BASE, f) == a for f, a in ways)


def small(**changes):
    training = replace(QUICK, epochs=1)
    return METHODS["compound"](**{"training": training, "num_trained": 3, "num_grid": 3, "steps": 3, **changes})


def test_the_family_is_trained_counted_and_written_down(tmp_path):
    told = Told()
    one = task(told, choices=SPACE)
    candidates = run_search(small(), one, tmp_path)
    record = json.loads((tmp_path / "scaling.json").read_text())
    family = record["family"]
    assert [m["phi"] for m in family] == sorted({m["phi"] for m in family})
    assert len(family) >= 3
    assert all(np.diff([m["macs"] for m in family]) > 0)
    assert all(m["scores"] is not None for m in family)
    assert 2 / 1.2 <= family[1]["growth"] <= 2 * 1.2
    trained = {c.architecture.digest for c in candidates}
    assert {m["digest"] for m in [*family, *record["grid"]]} <= trained
    assert [t[0] for t in told.trials] == list(dict.fromkeys(t[0] for t in told.trials))  # none twice
    assert len(told.trials) == len(trained) <= 3 + 3 + 3
    best = max(record["grid"], key=lambda way: way["scores"]["ic"])
    assert {n: best[n] for n in ("depth", "width", "lookback")} == record["factors"]


def test_a_space_with_nowhere_to_grow_is_refused():
    with pytest.raises(SpaceError, match="larger sizes"):
        small().init(task(choices=chain(depths=(1,), widths=(4,), lookbacks=(5,)), data=market()))
    with pytest.raises(ConfigError, match="growth"):
        small(growth=1.0)
