"""Ops that mix assets: what they compute, that a network of them is one network, and what `leader` learns."""

import pytest
import torch
import torch.nn.functional as F

from tradenas.errors import SpaceError
from tradenas.nn import Layout, Mode, Network, hard, soft
from tradenas.nn.ops import Correlation, CrossAttention, Dense, Leader, Market, Relative
from tradenas.nn.ops.leader import LAGS, SPEED
from tradenas.nn.sorting import sort_channels
from tradenas.search.methods.pcdarts import Partial
from tradenas.seeds import rng_for
from tradenas.space import CROSS_ASSET, Cell, Chain
from tradenas.train.stack import Stack

torch.set_num_threads(1)
ASSETS, ROWS = 3, 90
LAYOUT = Layout(
    groups=("returns", "returns", "trend"), transforms=("raw",), names=("r", "s", "t"), assets=ASSETS
)  # fmt: skip
COMMON = {"transforms": ("raw",), "lookbacks": (2, 4), "widths": (3, 5), "norms": ("none", "layer", "batch"),
          "activations": ("relu", "tanh"), "dropouts": (0.0, 0.3)}  # fmt: skip
BLUEPRINTS = {
    "chain": Chain(depths=(1, 2, 3), ops=("skip", "dense", "conv3", *CROSS_ASSET), groups=("trend",), **COMMON),
    "features": Chain(depths=(1, 2), ops=("skip", *CROSS_ASSET), features=("r", "t"), **COMMON),
    "weightless": Chain(depths=(1, 2), ops=("market", "relative"), features=("r", "t"), **COMMON),
    "cell": Cell(cells=(1, 2), nodes=2, ops=("zero", "dense", *CROSS_ASSET), groups=("trend",), **COMMON),
}
INDICATORS = {"r": "returns", "s": "returns", "t": "trend"}


def randomised(module, seed=0, scale=0.3):
    """As if trained: nothing is at the start it was given."""
    for part in module.modules():
        if reset := getattr(part, "reset", None):  # a network calls it; an op by itself holds whatever lay in memory
            reset(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            generator = torch.Generator().manual_seed(1000 * seed + i)
            parameter += scale * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return module


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module", params=BLUEPRINTS)
def network(request):
    return randomised(Network(BLUEPRINTS[request.param].space(INDICATORS), LAYOUT, seed=1)).double()


@pytest.fixture(scope="module")
def rows():
    return noise(2 * ASSETS, ROWS, 3)


def samples(network, count, *path):
    rng = rng_for(7, *path)
    return [network.space.sample(rng) for _ in range(count)]


def test_path_weights_and_standalone_agree(network, rows):
    for architecture in samples(network, 8, "equal"):
        path = hard(network.space, architecture)
        moments = network.measure(rows, path)
        want = network(rows, path, Mode(moments=moments))
        alone = network.inherit(network.space.fix(architecture)).double()
        torch.testing.assert_close(alone(rows, {}, Mode(moments=moments)), want, rtol=1e-12, atol=1e-13)
        assert sum(p.numel() for p in alone.parameters()) == network.count(architecture).parameters
        assert alone.reach() == alone.reach(architecture) == network.reach(architecture) <= network.reach()
        weights = soft(network.space, architecture, dtype=torch.float64)
        mixed = network(rows, weights, Mode(moments=network.measure(rows, weights)))
        torch.testing.assert_close(mixed, want, rtol=1e-10, atol=1e-11)


def test_a_fresh_standalone_network_is_what_it_would_inherit_in_shape(network):
    for architecture in samples(network, 4, "fresh"):
        alone, fresh = (
            network.inherit(network.space.fix(architecture)), network.standalone(architecture, seed=3)
        )  # fmt: skip
        assert {n: p.shape for n, p in alone.named_parameters()} == {n: p.shape for n, p in fresh.named_parameters()}


def test_no_row_of_any_asset_looks_ahead_or_too_far_back(network, rows):
    for architecture in samples(network, 7, "causal"):
        if "batch" in architecture.values():
            continue
        path, reach = hard(network.space, architecture), network.reach(architecture)
        before = network(rows, path)
        for asset in range(ASSETS):
            later = rows.clone()
            later[asset::ASSETS, 60:] = 7.0
            assert torch.equal(network(later, path)[:, :60], before[:, :60])
            earlier = rows.clone()
            earlier[asset::ASSETS, : ROWS - reach] += 3.0
            assert torch.equal(network(earlier, path)[:, -1], before[:, -1])


def test_one_pass_equals_window_by_window(network, rows):
    for architecture in samples(network, 3, "stream"):
        if "batch" in architecture.values():
            continue
        path, reach = hard(network.space, architecture), network.reach(architecture)
        told = network(rows, path)[:, reach - 1 :]
        each = [network(rows[:, t - reach + 1 : t + 1], path)[:, -1] for t in range(reach - 1, ROWS, 7)]
        torch.testing.assert_close(told[:, ::7], torch.stack(each, -1), rtol=1e-10, atol=1e-12)


def test_assets_in_another_order_where_all_are_alike():
    ops = ("dense", "conv3", "market", "relative", "cross_attention")
    space = Chain(depths=(1, 3), ops=ops, **COMMON).space()
    network, x = randomised(Network(space, LAYOUT, seed=2).double()), noise(2 * ASSETS, 40, 3)
    order = torch.tensor([2, 0, 1, 5, 3, 4])
    for architecture in samples(network, 8, "order"):
        path = hard(space, architecture)
        mode = Mode(moments=network.measure(x, path))
        torch.testing.assert_close(network(x[order], path, mode), network(x, path, mode)[order])


def test_a_stack_of_networks_says_what_each_says(network, rows):
    inputs = torch.stack([rows, rows.flip(1)])
    for architecture in samples(network, 4, "stacked"):
        each = [randomised(network.standalone(architecture, seed=s), seed=s).double() for s in (1, 2)]
        mode = Mode(training=True)
        want = torch.stack([one(x, {}, mode) for one, x in zip(each, inputs, strict=True)])
        torch.testing.assert_close(Stack(each).run(inputs, mode), want, rtol=1e-6, atol=1e-8)


def test_sorted_channels_change_nothing_at_full_width(rows):
    space = Chain(depths=(3,), ops=("dense", *CROSS_ASSET), **{**COMMON, "widths": (5,)}).space()
    network, rng = randomised(Network(space, LAYOUT, seed=4)).double(), rng_for(3, "sorted")
    paths = [hard(space, space.sample(rng)) for _ in range(8)]
    before = [network(rows, path, Mode(training=True)) for path in paths]
    assert sort_channels(network) == [0, 1, 2]
    for path, want in zip(paths, before, strict=True):
        torch.testing.assert_close(network(rows, path, Mode(training=True)), want)


def test_partial_channels():
    cell = Cell(cells=(1,), nodes=2, ops=("skip", "dense", *CROSS_ASSET), **{**COMMON, "widths": (6,)})
    network = Network(cell.space(), LAYOUT, seed=1, mix=Partial(2))
    weights = soft(cell.space(), cell.space().smallest())
    mixture = {n: torch.full_like(w, 1 / len(w), requires_grad=n.endswith("/op")) for n, w in weights.items()}
    path = {c.name: 0 for c in cell.space().choices if not c.name.endswith("/op") and c.take == 1}
    network(torch.ones(ASSETS, 30, 3), {**mixture, **path}, Mode(training=True)).sum().backward()
    gradient = mixture["cell/edge0-2/op"].grad
    assert gradient is not None
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("op", CROSS_ASSET)
def test_one_asset_is_refused(op):
    for blueprint in (Chain(ops=("dense", op)), Cell(ops=("dense", op))):
        with pytest.raises(SpaceError, match=r"mixes assets, with 1 asset, expected two .* several symbols"):
            Network(blueprint.space(), Layout(groups=("returns",), transforms=("zscore",)))


# What each op computes, by loops.


def by_asset(x, assets=ASSETS):
    return [x[a::assets] for a in range(assets)]


def test_market_and_relative():
    x = noise(2 * ASSETS, 5, 4)
    a, b, c = by_asset(x)
    torch.testing.assert_close(Market(4, 4, ASSETS)(x, 4)[1::ASSETS], (a + c) / 2)
    torch.testing.assert_close(Relative(4, 4, ASSETS)(x, 4)[2::ASSETS], c - (a + b) / 2)
    assert torch.equal(Market(4, 6, ASSETS)(x, 6)[..., 4:], x.new_zeros(2 * ASSETS, 5, 2))


def test_cross_attention():
    op, x = randomised(CrossAttention(4, 5, ASSETS).double()), noise(2 * ASSETS, 6, 4)
    q, k, v = (F.linear(x, part.weight[:3], None if part.bias is None else part.bias[:3])
               for part in (op.query, op.key, op.value))  # fmt: skip
    for segment in range(2):
        for t in (0, 5):
            at = slice(segment * ASSETS, (segment + 1) * ASSETS)
            score = torch.softmax(q[at, t] @ k[at, t].T / 3**0.5, dim=-1)
            torch.testing.assert_close(op(x, 3)[at, t], score @ v[at, t])


def test_correlation_begins_as_dense_and_learns_a_matrix():
    op, dense, x = Correlation(4, 5, ASSETS).double(), Dense(4, 5).double(), noise(2 * ASSETS, 6, 4)
    for module in op.modules():
        if hasattr(module, "reset"):
            module.reset(torch.Generator().manual_seed(0))
    dense.linear.load_state_dict(op.linear.state_dict())
    assert torch.equal(op(x, 5), dense(x, 5))
    randomised(op)
    z, M = op.linear(x, 5), op.mixing
    want = [z[a] + sum(M[a, b] * z[b] for b in range(ASSETS)) for a in range(ASSETS)]
    torch.testing.assert_close(op(x, 5)[:ASSETS], torch.stack(want))


def test_leader_reads_the_others_at_their_lags():
    op, x = randomised(Leader(2, 3, ASSETS).double()), noise(2 * ASSETS, 20, 2)
    z, P = op.value(x, 3), op.weighting()
    assert bool((torch.diagonal(P) == 0).all())
    others = {0: (1, 2), 1: (0, 2), 2: (0, 1)}
    for a in range(ASSETS):
        for at, c in enumerate(others[a]):
            torch.testing.assert_close(P[a, c], SPEED * op.pull[a, at])
        for t in (0, 3, 19):
            want = op.bias + sum(
                P[a, c, lag - 1] * z[ASSETS + c, t + 1 - lag]
                for c in others[a]
                for lag in range(1, LAGS + 1)
                if t + 1 - lag >= 0
            )
            torch.testing.assert_close(op(x, 3)[ASSETS + a, t], want)


def test_an_asset_that_is_not_ready():
    """Its features are zeros: nothing in `leader` and `correlation`, one that did not move in `market`."""
    x = noise(ASSETS, 20, 2)
    x[2] = 0.0
    leader = randomised(Leader(2, 3, ASSETS).double())
    told = leader(x, 3)
    with torch.no_grad():
        leader.pull[:2, 1] = 0.0  # what assets 0 and 1 hear of asset 2
    torch.testing.assert_close(leader(x, 3)[:2], told[:2])
    correlation = Correlation(2, 3, ASSETS).double()
    correlation.reset(torch.Generator())
    randomised(correlation)
    with torch.no_grad():
        correlation.linear.bias.zero_()
    told = correlation(x, 3)
    with torch.no_grad():
        correlation.mixing[:2, 2] = 0.0
    torch.testing.assert_close(correlation(x, 3)[:2], told[:2])
    torch.testing.assert_close(Market(2, 2, ASSETS)(x, 2)[0], x[1] / 2)


# What `leader` learns.


def planted(seed, *, assets=4, rows=1600, strength=0.5, lag=3, lead=1, opposed=2):
    """Noise in which one asset goes `lag` bars ahead of all others, and one of these goes the other way."""
    r = noise(assets, rows, seed=seed)
    for a in range(assets):
        if a != lead:
            sign = -1.0 if a == opposed else 1.0
            r[a, lag:] = sign * strength * r[lead, :-lag] + (1 - strength**2) ** 0.5 * r[a, lag:]
    x = torch.stack([r, noise(assets, rows, seed=seed + 100)], -1).float()
    return x[:, :-1], r[:, 1:].float()


def test_leader_learns_who_leads_by_how_much_and_which_way():
    space = Chain(depths=(1,), ops=("leader",), widths=(4,), norms=("none",), dropouts=(0.0,), lookbacks=(1,),
                  transforms=("raw",)).space()  # fmt: skip
    network = Network(space, Layout(groups=("a", "b"), transforms=("raw",), assets=4), seed=0)
    x, y = planted(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2)
    for _ in range(60):
        loss = (network(x)[:, LAGS:] - y[:, LAGS:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    leads = network.layers[0].ops["leader"].leads()
    assert [(lead.leader, lead.lag) for lead in leads if lead.asset != 1] == [(1, 3)] * 3
    assert all(lead.share > 5 / (3 * LAGS) for lead in leads if lead.asset != 1)
    assert leads[0].sign == leads[3].sign == -leads[2].sign


def test_a_leader_that_learnt_nothing_says_so():
    op = Leader(2, 3, 4)
    op.reset(torch.Generator())
    assert {lead.share for lead in op.leads()} == {1 / (3 * LAGS)}
    assert bool((op.weighting() == 0).all())
