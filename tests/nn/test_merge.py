"""Linear ops as one kernel: the numbers of the ops one by one, with first and second derivatives."""

import pytest
import torch

from tradenas.nn import Layout, Mode, Network, hard, soft
from tradenas.nn.merge import Merge, _Bank, _Filters, _Lags, _Unfilter, _Unlag
from tradenas.nn.ops import OPS
from tradenas.nn.ops.filters import ema_taps
from tradenas.report.describe import describe
from tradenas.search.methods.darts_minus import AuxiliarySkip
from tradenas.search.methods.gdas import drawn_alone
from tradenas.search.methods.pcdarts import Partial
from tradenas.search.parts.bilevel import WeightStep, network_loss, second_order
from tradenas.search.parts.relaxation import alphas_for, softmax
from tradenas.seeds import rng_for
from tradenas.space import CELL_OPS, Cell
from tradenas.train.loss import Objective
from tradenas.train.segments import Batch
from tradenas.train.stack import Stack

torch.set_num_threads(1)
LAYOUT = Layout(groups=("returns", "trend"), transforms=("raw",), assets=3)
SCORED = 7
SETS = {
    "default": CELL_OPS,
    "all": tuple(OPS),
    "weightless": ("skip", "zero", "ema4", "difference5", "mean5"),
    "no lags to share": ("dense", "skip", "difference", "mean5"),
    "one linear": ("skip", "gated", "max5"),
}


def cell(ops=CELL_OPS, **changes):
    settings = {"follow": "sum", "nodes": 2, "widths": (4,), "lookbacks": (3,), "transforms": ("raw",)}
    return Cell(ops=ops, **{**settings, **changes})


def one_by_one(branch, x_BTC, which, width):
    """The sum of the branches, whatever may be merged."""
    if isinstance(which, int):
        return branch(which, x_BTC, width)
    return torch.stack([which[o] * branch(o, x_BTC, width) for o in range(len(which))]).sum(0)


class World:
    """A network with weights away from their first values, alphas, and two batches."""

    def __init__(self, blueprint, dtype=torch.float64, mix=None):
        self.space = blueprint.space()
        self.network = Network(self.space, LAYOUT, seed=1, **({} if mix is None else {"mix": mix}))
        generator = torch.Generator().manual_seed(0)

        def normal(*shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter += 0.2 * normal(*parameter.shape).float()
        self.network.to(dtype)
        learnt = [c for c in self.space.choices if len(c.options) > 1]
        self.alphas = alphas_for(learnt, seed=1, scale=1.0, dtype=dtype)
        rows = self.network.reach() + SCORED - 1
        self.batches = [
            Batch(normal(3, rows, 2), normal(3, SCORED), torch.ones(3, SCORED, dtype=dtype)) for _ in range(2)
        ]
        self.weights = dict(self.network.named_parameters())

    def losses(self):
        return [
            network_loss(self.network, batch, Objective(kind="regression"), softmax, seed=i)
            for i, batch in enumerate(self.batches)
        ]

    def numbers(self):
        """The scored signal, and the gradients of the loss."""
        weights = {n: w.detach().requires_grad_() for n, w in self.weights.items()}
        alphas = {n: a.detach().requires_grad_() for n, a in self.alphas.items()}
        found = torch.autograd.grad(
            self.losses()[0](weights, alphas), [*weights.values(), *alphas.values()], allow_unused=True
        )
        with torch.no_grad():
            signal_BT = self.network(self.batches[0].x_BTF, softmax(self.alphas), Mode(training=True, scored=SCORED))
        size = len(weights)
        flat = [torch.cat([g.flatten() for g in part if g is not None]) for part in (found[:size], found[size:])]
        return signal_BT[:, -SCORED:].flatten(), *flat, [g is None for g in found]

    def hypergradient(self, product):
        step = WeightStep(lr=0.1, momentum=0.9, weight_decay=3e-4)
        found = second_order(*self.losses(), self.weights, self.alphas, step=step, product=product)
        return torch.cat([g.flatten() for g in found.implicit.values()])


def error(found, want):
    return float((found - want).norm() / want.norm())


def count_runs(monkeypatch):
    runs, own = [], Merge.run

    def counting(self, x_BTC, made, width, rows):
        runs.append(len(made.rest))
        return own(self, x_BTC, made, width, rows)

    monkeypatch.setattr(Merge, "run", counting)
    return runs


@pytest.mark.parametrize("ops", SETS)
def test_merged_is_one_by_one(ops, monkeypatch):
    """Signal, gradients in weights and in alphas; weights of which nothing hangs get none either way."""
    blueprint = cell(SETS[ops], cells=(1,) if ops == "all" else (1, 2), norms=("layer", "batch"))
    runs = count_runs(monkeypatch)
    merged = World(blueprint).numbers()
    assert bool(runs) == (ops != "one linear")
    ran = len(runs)
    apart = World(blueprint, mix=one_by_one).numbers()
    assert len(runs) == ran
    for found, want in zip(merged[:3], apart[:3], strict=True):
        assert error(found, want) < 1e-12
    assert merged[3] == apart[3]


def test_float32_is_rounded_no_worse():
    """The signal to 1e-6; gradients lose a digit to cancellation either way."""
    merged, apart = (World(cell(), torch.float32, mix=mix).numbers() for mix in (None, one_by_one))
    truth = World(cell()).numbers()
    assert error(merged[0], apart[0]) < 1e-6
    for found, other, want in zip(merged[:3], apart[:3], truth[:3], strict=True):
        assert error(found, other) < 5e-6
        assert error(found.double(), want) < max(1e-6, 3 * error(other.double(), want))


def test_every_edge_of_a_node_runs_at_once(monkeypatch):
    runs = count_runs(monkeypatch)
    World(cell(nodes=3, cells=(1,))).numbers()
    assert runs[:3] == [6, 2, 1]  # both inputs at once


@pytest.mark.parametrize("mix", [Partial(2), AuxiliarySkip(), drawn_alone])
def test_other_mixtures_merge_edge_by_edge_or_not_at_all(mix, monkeypatch):
    runs = count_runs(monkeypatch)
    merged = World(cell(), mix=mix).numbers()
    assert bool(runs) == (mix is not drawn_alone)
    with monkeypatch.context() as patch:
        patch.setattr(Merge, "worthwhile", False)
        ran = len(runs)
        apart = World(cell(), mix=mix).numbers()
        assert len(runs) == ran
    for found, want in zip(merged[:3], apart[:3], strict=True):
        assert error(found, want) < 1e-12


def test_widths_as_masks():
    blueprint = cell(widths=(2, 4))
    merged, apart = World(blueprint).numbers(), World(blueprint, mix=one_by_one).numbers()
    for found, want in zip(merged[:3], apart[:3], strict=True):
        assert error(found, want) < 1e-12


def test_edges_with_other_ops_than_the_rest():
    """As P-DARTS leaves them when it drops ops edge by edge."""
    space = cell((*CELL_OPS, "max5")).space()
    space = space.restrict({"cell/edge0-2/op": ["conv3", "ema4"], "cell/edge0-3/op": ["max5", "ema4"],
                                     "cell/edge2-3/op": ["dilated3"]})  # fmt: skip
    worlds = []
    for mix in (None, one_by_one):
        world = World(type("Given", (), {"space": lambda self=None: space}), mix=mix)
        worlds.append(world.numbers())
    for found, want in zip(worlds[0][:3], worlds[1][:3], strict=True):
        assert error(found, want) < 1e-12


def test_exact_second_order_by_double_backward():
    blueprint = cell(activations=("tanh",))
    merged, apart = World(blueprint), World(blueprint, mix=one_by_one)
    want = apart.hypergradient("exact")
    assert bool(want.any())
    assert error(merged.hypergradient("exact"), want) < 1e-12
    assert error(merged.hypergradient("finite"), want) < 0.05


@pytest.mark.parametrize("rows", [4, 11])
def test_lags_and_filters_have_second_derivatives(rows):
    """And each one's transpose is its transpose."""
    x = torch.randn(1, 11, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    bank = _Bank((ema_taps(3), torch.full((1,), 2.0)))
    for forward, transpose in (
        (lambda x: _Lags.apply(x, (0, 1, 5), rows), lambda g: _Unlag.apply(g, (0, 1, 5), 11)),
        (lambda x: _Filters.apply(x, rows, 2, bank), lambda g: _Unfilter.apply(g, 11, 2, bank)),
    ):
        y = forward(x).detach()
        g = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
        torch.testing.assert_close((y * g).sum(), (x * transpose(g)).sum(), rtol=1e-13, atol=1e-13)
        assert torch.autograd.gradgradcheck(lambda x, f=forward: f(x) ** 2, (x,))
        assert torch.autograd.gradcheck(lambda g, t=transpose: t(g) ** 2, (g,))


def test_a_node_is_what_follows_the_sum_of_its_edges():
    """By hand: norm and activation once, whatever the ops; edges read nodes as they are after it."""
    blueprint = cell(("skip", "dense", "conv3"), cells=(1,))
    world = World(blueprint)
    network, space = world.network, world.space
    picked = {"cell/edge0-2/op": "skip", "cell/edge1-2/op": "dense", "cell/node3/from": (0, 2),
              "cell/edge0-3/op": "conv3", "cell/edge2-3/op": "skip"}  # fmt: skip
    architecture = space.walk(lambda c: picked.get(c.name, c.options[0]))
    x_BTF = world.batches[0].x_BTF
    inputs_BTC = network.inputs(x_BTF, {})
    body = network.stack.bodies["0"]
    stem_BTC = network.stack.stem(inputs_BTC, 4)
    zero, one = (body.reads[i]({"stem": stem_BTC}, 4) for i in "01")

    def after(node, y_BTC):
        norm = body.nodes[node].norms["layer"]
        return torch.relu(torch.nn.functional.layer_norm(y_BTC, (4,), norm.gain, norm.shift))

    two = after("2", zero + body.edges["1-2"].ops["dense"](one, 4))
    three = after("3", body.edges["0-3"].ops["conv3"](zero, 4) + two)
    want = inputs_BTC[..., 2:].sum(-1) + network.heads["1"]({"2": two, "3": three}, 1).squeeze(-1)
    torch.testing.assert_close(network(x_BTF, hard(space, architecture)), want, rtol=1e-12, atol=1e-12)


BLUEPRINTS = {
    "darts": cell(("zero", "skip", "conv3", "ema4", "gated"), cells=(1, 3), nodes=3, widths=(3, 5),
                  norms=("none", "layer", "batch"), dropouts=(0.0, 0.3)),
    "bench201": cell(("zero", "skip", "dense", "mean5"), cells=(2,), inputs=1, take=0, output="last"),
}  # fmt: skip


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
def test_path_weights_and_standalone_are_one_function(blueprint):
    """And what is left out before the scored rows changes none of them."""
    space = BLUEPRINTS[blueprint].space()
    network = World(BLUEPRINTS[blueprint]).network
    rng = rng_for(0, "merge", blueprint)
    rows = torch.randn(3, 90, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(8):
        a = space.sample(rng)
        if rng.random() < 0.5:
            a = space.walk(lambda c, a=a: "zero" if c.name.endswith("/op") and rng.random() < 0.4 else a[c.name])
        path = hard(space, a)
        moments = network.measure(rows, path, scored=SCORED)
        want = network(rows, path, Mode(moments=moments))
        alone = network.inherit(space.fix(a)).double()
        assert torch.equal(alone(rows, {}, Mode(moments=moments)), want)
        assert sum(p.numel() for p in alone.parameters()) == network.count(a).parameters
        assert alone.reach() == network.reach(a) <= network.reach()
        weights = soft(space, a, dtype=torch.float64)
        moments |= network.measure(rows, weights, scored=SCORED)  # of norms with a weight of 0 too
        torch.testing.assert_close(network(rows, weights, Mode(moments=moments)), want, rtol=1e-10, atol=1e-11)
        for mixture in (path, weights):
            short = network(rows, mixture, Mode(moments=moments, scored=SCORED))
            assert short.shape == (3, SCORED)
            torch.testing.assert_close(short, want[:, -SCORED:], rtol=1e-10, atol=1e-11)


def test_rows_that_nothing_scored_hangs_on_are_not_computed():
    network = World(cell(nodes=1, cells=(1,), ops=("conv3", "dense"))).network
    body = network.stack.bodies["0"]
    assert body.ahead == {-1: 0, 0: 2, 1: 2, 2: 0}
    x_BTC = torch.zeros(1, 50, 4)
    assert body.last(x_BTC, 0, Mode(scored=5)).shape[1] == 7
    assert body.last(x_BTC, 0, Mode()).shape[1] == 50
    two = World(cell(nodes=1, cells=(3,), ops=("conv3", "dense"))).network.stack.bodies
    assert [two[k].ahead[0] for k in "012"] == [6, 4, 2]


def test_stacked_networks_are_one_by_one():
    space = cell(cells=(2,)).space()
    architecture = space.sample(rng_for(3, "stacked"))
    template = Network(space, LAYOUT)
    networks = [template.standalone(architecture, seed=s) for s in (1, 2)]
    x_NBTF = torch.randn(2, 3, 60, 2, generator=torch.Generator().manual_seed(0))
    found = Stack(networks).run(x_NBTF, Mode(scored=SCORED))[..., -SCORED:]
    want = torch.stack([network(x_BTF)[..., -SCORED:] for network, x_BTF in zip(networks, x_NBTF, strict=True)])
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-5)


def test_the_default_is_as_it_was():
    """No new choice: architectures of before keep their names; and nothing merges where a norm follows each op."""
    assert "cell/follow" not in Cell().space()
    assert cell().space()["cell/follow"].options == ("sum",)
    assert "sum" in cell().space().smallest().describe()
    assert "once a node" in describe(cell().space().smallest())
    assert "once a node" not in describe(Cell().space().smallest())
    layers = [m for m in Network(Cell(transforms=("raw",)).space(), LAYOUT).modules() if hasattr(m, "merge")]
    assert layers
    assert all(layer.merge is None for layer in layers)
