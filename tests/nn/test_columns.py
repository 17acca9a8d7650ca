"""An op for each column: path, one-hot mixture and standalone network say the same, and read nothing else."""

from __future__ import annotations

import pytest
import torch

from tradenas.errors import ArchitectureError, SpaceError
from tradenas.nn import Layout, Mode, Network, hard, soft
from tradenas.seeds import rng_for
from tradenas.space import Cell, Chain, crossover, mutate

INDICATORS = {"move": "returns", "rsi": "momentum", "cci": "momentum", "volume": "volume", "range": "volatility"}
OPS = ("raw", "rank", "drop", "ema12")
LAYOUT = Layout(
    groups=tuple(INDICATORS.values()), transforms=("zscore", "raw", "rank", "ema12"), names=tuple(INDICATORS)
)
SPACES = {
    "chain": Chain(
        depths=(1, 2), widths=(4, 8), ops=("skip", "dense", "conv3", "residual"), norms=("none", "batch"),
        dropouts=(0.0,), lookbacks=(3, 6), column_ops=OPS,
    ).space(INDICATORS),
    "cell": Cell(
        nodes=2, ops=("zero", "skip", "dense", "ema4"), widths=(4, 8), lookbacks=(3, 6), cells=(1,), column_ops=OPS
    ).space(INDICATORS),
}  # fmt: skip


def network_of(name):
    """Double precision, with taps that say something: fresh ones are closed."""
    network = Network(SPACES[name], LAYOUT, seed=1).double()
    with torch.no_grad():
        said = torch.empty(network.inputs.taps.shape).uniform_(-1, 1, generator=torch.Generator().manual_seed(3))
        network.inputs.taps.copy_(said)
    return network


NETWORKS = {name: network_of(name) for name in SPACES}


@pytest.fixture(scope="module")
def rows():
    return torch.randn(2, 40, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def samples(count):
    return [(name, a) for name in SPACES for a in [SPACES[name].sample(rng_for(5, name, i)) for i in range(count)]]


def block_of(architecture, name):
    return LAYOUT.transforms.index(architecture[f"input/column/{name}"])


@pytest.mark.parametrize(("name", "architecture"), samples(8), ids=lambda a: a if isinstance(a, str) else a.digest)
def test_path_mixture_and_standalone_agree(name, architecture, rows):
    network, space = NETWORKS[name], SPACES[name]
    path = hard(space, architecture)
    moments = network.measure(rows, path)
    shared = network(rows, path, Mode(moments=moments))
    alone = network.inherit(space.fix(architecture))
    torch.testing.assert_close(alone.double()(rows, {}, Mode(moments=moments)), shared, rtol=1e-10, atol=1e-12)
    weights = soft(space, architecture, dtype=torch.float64)
    assert torch.equal(network.inputs(rows, weights)[..., :5], network.inputs(rows, path)[..., :5])
    mixed = network(rows, weights, Mode(moments=network.measure(rows, weights)))
    torch.testing.assert_close(mixed, shared, rtol=1e-9, atol=1e-11)
    half = {n: weights[n] if n.endswith(("/move", "/cci")) else w for n, w in path.items()}  # some mixed, others picked
    assert torch.equal(network.inputs(rows, half)[..., :5], network.inputs(rows, path)[..., :5])


@pytest.mark.parametrize(("name", "architecture"), samples(6), ids=lambda a: a if isinstance(a, str) else a.digest)
def test_what_is_dropped_is_not_there_and_costs_nothing(name, architecture):
    network = NETWORKS[name]
    alone = network.standalone(architecture, seed=0)
    kept = [n for n in INDICATORS if architecture[f"input/column/{n}"] != "drop"]
    assert alone.inputs.features == network.inputs.read(architecture) == len(kept)
    assert alone.inputs.taps.shape[0] == len(kept)
    assert sum(p.numel() for p in alone.parameters()) == network.count(architecture).parameters
    assert alone.count(architecture) == network.count(architecture)


def test_each_column_is_read_from_its_own_block(rows):
    space = SPACES["chain"]
    took = {"move": "ema12", "rsi": "drop", "cci": "rank", "volume": "raw", "range": "rank"}
    architecture = space.walk(lambda c: took.get(c.name.removeprefix("input/column/"), c.options[0]))
    network, path = NETWORKS["chain"], hard(space, architecture)
    alone = network.inherit(space.fix(architecture)).double()
    want = torch.stack([rows[..., 5 * block_of(architecture, n) + j] if took[n] != "drop" else 0 * rows[..., 0]
                        for j, n in enumerate(INDICATORS)], dim=-1)  # fmt: skip
    assert torch.equal(network.inputs(rows, path)[..., :5], want)
    before = network(rows, path)
    for column in range(20):
        changed = rows.clone()
        changed[..., column] += 1.0
        name = [*INDICATORS][column % 5]
        read = took[name] != "drop" and block_of(architecture, name) == column // 5
        for net, mixture in ((network, path), (alone, {})):
            assert torch.allclose(net(changed, mixture), before) is not read, column


def test_a_mixture_is_the_weighted_sum_of_the_blocks_and_drop_adds_nothing(rows):
    space, network = SPACES["chain"], NETWORKS["chain"]
    generator = torch.Generator().manual_seed(2)
    p = {n: torch.softmax(torch.randn(4, generator=generator, dtype=torch.float64), 0).requires_grad_()
         for n in INDICATORS}  # fmt: skip
    mixture = {**hard(space, space.smallest()), **{f"input/column/{n}": w for n, w in p.items()}}
    found = network.inputs.block(rows, mixture)
    for j, w in enumerate(p.values()):
        blocks = {o: rows[..., 5 * LAYOUT.transforms.index(o) + j] for o in OPS if o != "drop"}
        want = sum(w[OPS.index(o)] * x for o, x in blocks.items())
        torch.testing.assert_close(found[..., j], want)
        (slope,) = torch.autograd.grad(found[..., j].sum(), w, retain_graph=True)
        want = torch.stack([blocks[o].sum() if o != "drop" else torch.zeros(()).double() for o in OPS])
        torch.testing.assert_close(slope, want)


def test_what_follows_the_inputs_does_not_grow_with_the_number_of_ops():
    few = Chain(depths=(1,), lookbacks=(6,), transforms=("raw",)).space(INDICATORS)
    many = Chain(depths=(1,), lookbacks=(6,), column_ops=OPS).space(INDICATORS)
    sizes = [{n: p.shape for n, p in Network(s, LAYOUT).named_parameters()} for s in (few, many)]
    assert sizes[0] == sizes[1]
    assert sizes[0]["inputs.taps"] == (5, 6)


def test_one_column_is_always_on():
    space = Chain(
        depths=(1,), ops=("dense",), widths=(4,), activations=("relu",), norms=("none",), dropouts=(0.0,),
        lookbacks=(5,), column_ops=("raw", "drop", "rank"),
    ).space({"move": "a", "rsi": "b", "cci": "c"})  # fmt: skip
    listed = list(space)
    assert len(set(listed)) == len(listed) == space.size() == 3**3 - 1
    rng = rng_for(0, "on")
    drawn = [space.sample(rng) for _ in range(200)]
    drawn += [mutate(space, a, rng, rate=0.9) for a in drawn]
    drawn += [crossover(space, a, b, rng) for a, b in zip(drawn[:200], drawn[200:], strict=True)]
    drawn += [space.walk(lambda c: "drop" if "drop" in c.options else c.options[0])]
    for architecture in drawn:
        assert space.check(architecture) in listed
    assert drawn[-1]["input/column/cci"] == "raw"  # the first that may be
    last = {"input/column/move": ["drop"], "input/column/rsi": ["drop"]}
    left = space.restrict(last)
    assert left["input/column/cci"].options == ("raw", "rank")
    assert left.size() == 2
    assert left.not_all == {}
    with pytest.raises(SpaceError, match="all of them 'drop' left"):
        space.restrict({**last, "input/column/cci": ["drop"]})
    with pytest.raises(ArchitectureError, match="all of them 'drop'"):
        space.check({**space.smallest(), **{f"input/column/{n}": "drop" for n in ("move", "rsi", "cci")}})
    fewer = space.restrict({"input/column/move": ["raw", "drop"]})
    assert fewer.size() == len(list(fewer)) == 2 * 3 * 3 - 1
    two = space.restrict({"input/column/move": ["drop"]})
    assert set(two.not_all) == {"input/column/rsi", "input/column/cci"}
    assert two.size() == len(list(two)) == 3 * 3 - 1
    free = space.restrict({"input/column/move": ["raw", "rank"]})  # one that is always on
    assert free.not_all == {}
    assert free.size() == 2 * 3 * 3


def test_the_smaller_inherits_from_the_smaller(rows):
    space, network = SPACES["chain"], NETWORKS["chain"]
    some = space.restrict({"input/column/move": ["drop"], "input/column/range": ["raw", "rank"]})
    one = some.restrict({"input/column/rsi": ["drop"], "input/column/cci": ["ema12", "drop"]})
    architecture = one.sample(rng_for(1))
    moments = network.measure(rows, hard(space, architecture))
    want = network(rows, hard(space, architecture), Mode(moments=moments))
    found = network.inherit(some).inherit(one).double()(rows, hard(one, architecture), Mode(moments=moments))
    torch.testing.assert_close(found, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"column_ops": ("drop",)}, "an op that reads"),
        ({"column_ops": ("raw", "raw")}, "each name once"),
        ({"column_ops": ("raw", "drop"), "groups": ("volume",)}, "one switch"),
        ({"column_ops": ("raw", "drop"), "features": ("rsi",)}, "one switch"),
        ({"column_ops": ("raw",), "transforms": ("rank",)}, "one of the two"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, words):
    with pytest.raises(SpaceError, match=words):
        Chain(**settings)


def test_columns_and_table_have_to_fit():
    with pytest.raises(SpaceError, match="no indicators"):
        Chain(column_ops=("raw",)).space()
    space = Chain(column_ops=("raw", "std5")).space(INDICATORS)
    with pytest.raises(SpaceError, match="std5"):
        Network(space, LAYOUT)
    some = Chain(column_ops=("raw", "rank")).space({n: g for n, g in INDICATORS.items() if n != "cci"})
    with pytest.raises(SpaceError, match="no choice for cci"):
        Network(some, LAYOUT)
    more = Chain(column_ops=("raw", "rank")).space({**INDICATORS, "moon": "returns"})
    with pytest.raises(SpaceError, match="moon"):
        Network(more, LAYOUT)


def test_switches_of_features_go_with_ops_that_do_not_drop(rows):
    space = Chain(column_ops=("raw", "rank"), features=("rsi",), depths=(1,), lookbacks=(3,)).space(INDICATORS)
    network = Network(space, LAYOUT, seed=1).double()
    off = space.check({**space.smallest(), "input/feature/rsi": "off", "input/column/rsi": "rank"})
    assert network.inputs.read(off) == 4
    assert bool((network.inputs(rows, hard(space, off))[..., 1] == 0).all())
    alone = network.inherit(space.fix(off))
    assert alone.inputs.features == 4
    assert sum(p.numel() for p in alone.parameters()) == network.count(off).parameters
    torch.testing.assert_close(alone.double()(rows), network(rows, hard(space, off)), rtol=1e-10, atol=1e-12)
