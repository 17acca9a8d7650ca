"""The truth table is whole, says what docs/benchmark.md says of it, and fast scores of paths are the slow ones."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from truth import setting  # noqa: E402
from truth.build import COLUMNS, measure, moments, rounded  # noqa: E402
from truth.measures import held_against  # noqa: E402
from truth.paths import scores_of_paths  # noqa: E402
from truth.table import CELLS, Table  # noqa: E402

from tradenas.errors import ConfigError  # noqa: E402
from tradenas.nn import Network  # noqa: E402

#: Architectures that differ in one choice, so that none is served what another made.
WITHIN = [{"layer0/width": 8}, {"layer0/width": 16}, {"layer1/width": 16}, {"input/lookback": 20}]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def table():
    pytest.importorskip("pyarrow")
    return Table.load()


def test_every_architecture_is_there_on_every_market_with_every_seed(table):
    assert len(table) == setting.space().size() == 1248
    assert set(table.architectures) == set(setting.space())
    assert table.worlds == ("btc", "distant", "volume")
    assert table.seeds == setting.SEEDS
    for name in COLUMNS:
        assert np.isfinite(table.columns[name]).all(), name
    assert table.about["recipe"]["epochs"] == setting.RECIPE.epochs
    architecture = table.architectures[17]
    assert table.index(architecture) == table.index(architecture.digest) == 17
    assert table.parameters[17] == setting.template().count(architecture).parameters


def test_architectures_differ_by_more_than_seeds_do(table):
    for world, least in (("volume", 0.5), ("distant", 0.5)):
        assert table.ceiling(world, "ic").one_against_rest > least
        scores_NS = table.scores(world, "ic")
        assert scores_NS.mean(axis=1).std() > scores_NS.std(axis=1, ddof=1).mean() / np.sqrt(len(table.seeds))
    long_N = np.array([a["input/lookback"] == 50 for a in table.architectures])
    distant_N = table.truth("distant", "ic")
    assert distant_N[long_N].min() > distant_N[~long_N].mean()  # the lag of 37 is out of sight of the others


def test_every_cell_is_there_too():
    cells = Table.load(CELLS)
    assert cells.kind == "cell"
    assert len(cells) == setting.space("cell").size() == 343
    assert set(cells.architectures) == set(setting.space("cell"))
    assert cells.worlds == setting.WORLDS["cell"]
    assert all(np.isfinite(cells.columns[name]).all() for name in COLUMNS)
    three = np.array(
        [any(o.startswith(("conv", "dilated")) for o in map(str, a.values())) for a in cells.architectures]
    )
    motif_N = cells.truth("motif", "ic")
    assert motif_N[three].mean() > motif_N[~three].mean() + 0.01  # up, down, up: what sees three bars at once knows it
    assert len(cells.task("volume", seed=1).space.choices) == len(setting.space("cell").choices)


def test_the_market_of_the_table_is_the_one_that_is_made(table):
    made = moments(table.world("volume"))
    table.about["worlds"]["volume"]["moments"] = [value + 0.01 for value in made]
    with pytest.raises(ConfigError, match="other data"):
        table.world("volume")
    table.about["worlds"]["volume"]["moments"] = made
    assert len(table.task("volume", seed=1).data) == setting.world("volume").fold.valid.stop


@pytest.mark.slow
def test_a_row_can_be_trained_again(table):
    architecture = table.architectures[3]
    rows = measure(architecture, [setting.world("volume")])
    for seed, row in enumerate(rows):
        assert row["valid_ic"] == pytest.approx(table.scores("volume", "ic")[3, seed], abs=5e-3)


def test_scores_of_all_paths_are_those_one_by_one():
    world, architectures = setting.world("volume"), tuple(setting.space())
    network = Network(setting.space(), setting.template().layout, seed=3)
    with torch.no_grad():
        network.inputs.taps.normal_(generator=torch.Generator().manual_seed(0)).mul_(0.1)
    some = [architectures[i] for i in (0, 50, 333, 800, 1247)]
    want = {"depth": 2, "layer0/op": "conv3", "layer1/op": "gated"}
    some += [setting.space().walk(lambda c, w=w: {**want, **w}.get(c.name, c.options[0])) for w in WITHIN]
    fast = scores_of_paths(network, tuple(some), world)
    for i, slow in enumerate(world.evaluators["valid"].score_paths(network, some)):
        for name, values in fast.items():
            assert values[i] == pytest.approx(slow[name], abs=1e-6)


def test_the_table_s_own_order_has_no_regret_and_the_reverse_has_all(table):
    truth_N = table.truth("volume", "ic")
    order = list(range(len(table)))
    runs = [{"seconds": 10.0, "training_s": 1.0, "scores": {"ic": list(sign * truth_N)}} for sign in (1, -1)]
    (right,) = held_against(table, "volume", "ic", "truth", runs[:1], order)
    (wrong,) = held_against(table, "volume", "ic", "reverse", runs[1:], order)
    assert (right.regret, right.overlap, right.trainings) == (0.0, 1.0, 10.0)
    assert (right.tau, wrong.tau, wrong.overlap) == (pytest.approx(1.0), pytest.approx(-1.0), 0.0)
    assert wrong.regret == pytest.approx(truth_N.max() - np.sort(truth_N)[4])
    assert 0.0 < right.random < wrong.regret


def test_rounding_keeps_four_digits():
    values = np.random.default_rng(0).normal(size=50)
    kept = np.array([rounded(v) for v in values])
    np.testing.assert_allclose(kept, values, rtol=1e-4)
    assert (kept != values).any()
    assert rounded(None) is None
    assert rounded(0.0) == 0.0
