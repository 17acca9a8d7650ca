"""Networks of cells: the same numbers whichever way they are asked, dead edges nowhere, honest reach and price."""

import pytest
import torch

from tradenas.nn import Layout, Mode, Network, hard, soft
from tradenas.seeds import rng_for
from tradenas.space import Cell
from tradenas.splits import Span
from tradenas.train.stream import stream

torch.set_num_threads(1)
LAYOUT = Layout(groups=("returns", "returns", "trend"), transforms=("raw",))
OPS = ("zero", "skip", "dense", "conv3", "separable3", "ema4", "difference", "attention", "gated", "max5")
CELL = {"lookbacks": (3, 6), "transforms": ("raw",), "groups": ("trend",), "widths": (3, 5), "ops": OPS,
        "norms": ("none", "layer", "batch"), "activations": ("relu", "tanh"), "dropouts": (0.0, 0.3)}  # fmt: skip
BLUEPRINTS = {
    "darts": Cell(cells=(1, 2, 4), nodes=3, **CELL),
    "last": Cell(cells=(1, 3), nodes=3, take=2, output="last", **CELL),
    "bench201": Cell(cells=(2,), inputs=1, nodes=3, take=0, output="last", **CELL),
}
ROWS = 130


@pytest.fixture(scope="module", params=BLUEPRINTS)
def network(request):
    made = Network(BLUEPRINTS[request.param].space(), LAYOUT, seed=1)
    with torch.no_grad():  # so that biases and taps can be seen
        for i, parameter in enumerate(made.parameters()):
            generator = torch.Generator().manual_seed(i)
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return made.double()


@pytest.fixture(scope="module")
def rows():
    return torch.randn(2, ROWS, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def samples(network, count, *path, zeros=0.0):
    """Uniform ones; a share of the edges becomes `zero` besides, so that cells come apart."""
    rng = rng_for(5, *path)
    found = []
    for _ in range(count):
        a = network.space.sample(rng)
        found.append(network.space.walk(
            lambda c, a=a: "zero" if c.name.endswith("/op") and rng.random() < zeros else a[c.name]
        ))  # fmt: skip
    return found


@pytest.mark.parametrize("zeros", [0.0, 0.4, 1.0])
def test_path_weights_and_standalone_agree(network, rows, zeros):
    for architecture in samples(network, 12, "equal", zeros=zeros):
        path = hard(network.space, architecture)
        moments = network.measure(rows, path)
        want = network(rows, path, Mode(moments=moments))
        alone = network.inherit(network.space.fix(architecture)).double()
        assert torch.equal(alone(rows, {}, Mode(moments=moments)), want)
        assert sum(p.numel() for p in alone.parameters()) == network.count(architecture).parameters
        assert alone.count(architecture) == network.count(architecture)
        assert alone.reach() == alone.reach(architecture) == network.reach(architecture) <= network.reach()
        weights = soft(network.space, architecture, dtype=torch.float64)
        mixed = network(rows, weights, Mode(moments=network.measure(rows, weights)))
        torch.testing.assert_close(mixed, want, rtol=1e-10, atol=1e-11)


def test_an_edge_that_does_not_matter_gets_no_weights():
    cell = Cell(inputs=1, nodes=3, take=0, output="last", ops=("zero", "skip", "dense"), cells=(1,), widths=(4,))
    ops = {(0, 1): "dense", (0, 3): "dense"}  # node 1 is not heard
    picked = {f"cell/edge{i}-{j}/op": op for (i, j), op in ops.items()}
    architecture = cell.space().walk(lambda c: picked.get(c.name, c.options[0]))
    network = Network(cell.space(), Layout(groups=("a",), transforms=("zscore",)))
    alone = network.standalone(architecture, seed=0)
    edges = {name.split(".")[4] for name, _ in alone.named_parameters() if ".edges." in name}
    assert edges == {"0-3"}
    silent = cell.space().walk(lambda c: c.options[0])
    quiet = network.standalone(silent, seed=0)
    assert {name for name, _ in quiet.named_parameters()} == {"inputs.taps", "heads.1.bias"}
    assert bool((quiet(torch.ones(1, 9, 1)) == 0).all())


def test_causal_and_reach(network, rows):
    for architecture in samples(network, 12, "causal"):
        if "batch" in architecture.values():
            continue
        path, reach = hard(network.space, architecture), network.reach(architecture)
        before = network(rows, path)
        later = rows.clone()
        later[:, 60:] = 7.0
        assert torch.equal(network(later, path)[:, :60], before[:, :60])
        earlier = rows.clone()
        earlier[:, : max(0, ROWS - reach)] += 3.0
        assert torch.equal(network(earlier, path)[:, -1], before[:, -1])


def test_reach_is_the_longest_way():
    cell = Cell(cells=(3,), inputs=1, nodes=2, take=1, ops=("skip", "conv3", "ema4"), lookbacks=(5,), widths=(2,))
    space = cell.space()
    network = Network(space, Layout(groups=("a",), transforms=("zscore",)))
    chain = {"cell/edge0-1/op": "ema4", "cell/node2/from": 1, "cell/edge1-2/op": "conv3"}
    assert network.reach(space.walk(lambda c: chain.get(c.name, c.options[0]))) == 5 + 3 * (7 + 2)
    assert network.reach() == 5 + 3 * (7 + 7)


def test_one_pass_equals_window_by_window(network, rows):
    x_TF = rows[0].float()
    single = Network(network.space, LAYOUT, seed=3)
    for architecture in samples(network, 6, "stream"):
        if "batch" in architecture.values():
            continue
        path, reach = hard(network.space, architecture), network.reach(architecture)
        if reach > ROWS - 10:
            continue
        told = torch.from_numpy(stream(single, x_TF, path, Span(reach, ROWS), reach=reach, chunk=17))
        each = [single(x_TF[None, t - reach + 1 : t + 1], path)[0, -1].detach() for t in range(reach, ROWS)]
        torch.testing.assert_close(told, torch.stack(each), rtol=1e-4, atol=1e-5)


def test_only_open_edges_get_gradients():
    cell = Cell(cells=(1,), nodes=1, ops=("zero", "dense", "conv3"), widths=(4,), lookbacks=(3,))
    space = cell.space()
    network = Network(space, Layout(groups=("a",), transforms=("zscore",)), seed=1)
    ops = {"cell/edge0-2/op": "conv3", "cell/edge1-2/op": "zero"}
    network(torch.ones(1, 9, 1), hard(space, space.walk(lambda c: ops.get(c.name, c.options[0])))).sum().backward()
    reached = {
        name.split("bodies.")[1] for name, p in network.named_parameters() if p.grad is not None and "bod" in name
    }
    assert {name.split(".")[2] for name in reached if "edges" in name} == {"0-2"}
    assert {name.split(".")[2] for name in reached if "reads" in name} == {"0"}
    assert not any(".dense." in name for name in reached)
