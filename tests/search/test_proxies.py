"""Zero-cost proxies against figures made by hand, and what they may and may not depend on."""

from __future__ import annotations

import math

import pytest
import torch

from search.worlds import TRAIN, market, space, task
from tradenas.errors import ConfigError
from tradenas.nn import Layout, Network
from tradenas.search.parts import proxies as module
from tradenas.search.parts.evolution import sample_distinct
from tradenas.search.parts.proxies import PROXIES, ProxyBatch, best_first, proxy_batch, proxy_scores, scores_of
from tradenas.space import Chain
from tradenas.train.loss import Objective

DATA_BLIND, SEED_BLIND = {"synflow", "params", "macs"}, {"params", "macs"}


def alone(features=2, *, seed=0, **changes):
    """A network of the one architecture of a space."""
    settings = {
        "depths": (1,), "ops": ("dense",), "widths": (2,), "activations": ("relu",), "norms": ("none",),
        "dropouts": (0.0,), "lookbacks": (1,), "transforms": ("raw",), **changes,
    }  # fmt: skip
    choices = Chain(**settings).space()
    template = Network(choices, Layout(groups=("g",) * features, transforms=("raw",)))
    return template.standalone(choices.smallest(), seed=seed)


def put(parameter, values):
    """Sets the leading columns of a weight; what is left is zero."""
    values = torch.tensor(values)
    with torch.no_grad():
        parameter.zero_()
        parameter[tuple(slice(0, n) for n in values.shape)] = values


def rows(x, targets=1):
    x_BTF = torch.tensor(x)
    y_BS = torch.linspace(-1.0, 1.0, len(x_BTF) * targets).view(len(x_BTF), targets)
    return ProxyBatch(x_BTF=x_BTF, y_BS=y_BS, weight_BS=torch.ones_like(y_BS), objective=Objective(kind="regression"))


def drawn(num, **changes):
    one = task(choices=space(**changes))
    return one, sample_distinct(one.space, num, seed=3, stream="proxies")


# Four channels come in: two features, and both again through filters that pass them on.
FIRST, SECOND, HEAD = [[1.0, -1.0, 2.0, 0.0], [0.0, 1.0, 1.0, -3.0]], [[1.0, -2.0], [3.0, 1.0]], [[1.0, -1.0]]


@pytest.mark.parametrize("changes", [{}, {"lookbacks": (7,)}, {"activations": ("tanh",), "norms": ("layer",)}])
def test_synflow_of_a_chain_by_hand(changes):
    """|W1| 1 = (4, 5), |W2| of it (14, 17), head 31: counted for W1, W2 and head, and 20 of it once more for taps."""
    network = alone(depths=(2,), **changes)
    put(network.layers[0].ops["dense"].linear.weight, FIRST)
    put(network.layers[1].ops["dense"].linear.weight, SECOND)
    put(network.heads["2"].weight, HEAD)
    assert PROXIES["synflow"](network, rows([[[9.0, 9.0]]])) == pytest.approx(3 * 31 + 20, rel=1e-12)


def test_synflow_holds_where_float32_would_not():
    network = alone(depths=(6,), widths=(64,))
    with torch.no_grad():
        for layer in network.layers:
            layer.ops["dense"].linear.weight.mul_(1e7)
    assert 1e38 < PROXIES["synflow"](network, rows([[[1.0, 1.0]]])) < math.inf


#: What the rows of SIGNS make of these weights: + + +, + - -, - + +.
UNITS, SIGNS = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[[1.0, 1.0]], [[1.0, -2.0]], [[-1.0, 2.0]]]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "gelu", "tanh", "sigmoid"])
def test_naswot_of_three_rows_by_hand(activation):
    """K = [[3, 1, 2], [1, 3, 0], [2, 0, 3]], whose determinant is 12."""
    network = alone(widths=(3,), activations=(activation,))
    put(network.layers[0].ops["dense"].linear.weight, UNITS)
    assert PROXIES["naswot"](network, rows(SIGNS)) == pytest.approx(math.log(12), abs=1e-9)


def test_naswot_counts_gates_and_inner_relus_and_signs_after_the_norm():
    gated = alone(widths=(3,), ops=("gated",))
    put(gated.layers[0].ops["gated"].gate.weight, UNITS)
    assert PROXIES["naswot"](gated, rows(SIGNS)) == pytest.approx(math.log(12), abs=1e-9)
    # and what the residual puts out, x0 x1 0: K grows by [[3, 2, 2], [2, 3, 1], [2, 1, 3]]
    residual = alone(widths=(3,), ops=("residual",))
    put(residual.layers[0].ops["residual"].inner.weight, UNITS)
    put(residual.layers[0].ops["residual"].outer.weight, [[0.0]])
    assert PROXIES["naswot"](residual, rows(SIGNS)) == pytest.approx(math.log(84), abs=1e-9)
    # 1 1 2, 3 1 4 and 1 -2 -1 are + + +, + + +, + - -, but less their means - - +, + - +, + - -
    for norm, determinant in (("none", 0.0), ("layer", 8.0)):
        normed = alone(widths=(3,), norms=(norm,))
        put(normed.layers[0].ops["dense"].linear.weight, UNITS)
        told = PROXIES["naswot"](normed, rows([[[1.0, 1.0]], [[3.0, 1.0]], [[1.0, -2.0]]]))
        assert math.exp(told) == pytest.approx(determinant, abs=1e-9)


def test_naswot_of_cells_and_of_nothing():
    x = torch.randn(5, 20, 2, generator=torch.Generator().manual_seed(1)).tolist()
    for op in ("lstm", "gru"):
        assert math.isfinite(PROXIES["naswot"](alone(widths=(8,), ops=(op,)), rows(x, targets=4)))
    assert PROXIES["naswot"](alone(ops=("skip",)), rows(x)) == -math.inf


def test_jacob_cov_of_two_rows_by_hand():
    """Slopes (1, 3, 2) and (1, 2, 3), correlated by a half: eigenvalues 1.5 and 0.5."""
    network = alone(features=3)
    put(network.layers[0].ops["dense"].linear.weight, [[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]])
    put(network.heads["1"].weight, [[1.0, 1.0]])
    want = -sum(math.log(v + 1e-5) + 1.0 / (v + 1e-5) for v in (1.5, 0.5))
    assert PROXIES["jacob_cov"](network, rows([[[1.0, 1.0, 0.0]], [[1.0, 0.0, 1.0]]])) == pytest.approx(want, rel=1e-5)
    # a line has one slope: all rows alike, eigenvalues 2 and 0
    straight = alone(features=3, ops=("skip",))
    put(straight.heads["1"].weight, [[1.0, 2.0]])
    assert PROXIES["jacob_cov"](straight, rows([[[1.0, 1.0, 0.0]], [[1.0, 0.0, 1.0]]])) < -9e4
    put(straight.heads["1"].weight, [[0.0, 0.0]])
    assert PROXIES["jacob_cov"](straight, rows([[[1.0, 1.0, 0.0]], [[1.0, 0.0, 1.0]]])) == -math.inf


def test_grad_norm_is_that_of_a_plain_copy():
    network = alone(widths=(4,), lookbacks=(3,), activations=("tanh",), seed=5)
    x_BTF = torch.randn(6, 2 + 4, 2, generator=torch.Generator().manual_seed(2))
    batch = rows(x_BTF.tolist(), targets=4)
    linear, head = network.layers[0].ops["dense"].linear, network.heads["1"]
    taps, w, b, v, c = own = [
        p.detach().clone().requires_grad_()
        for p in (network.inputs.taps, linear.weight, linear.bias, head.weight, head.bias)
    ]
    past_BSF = torch.stack([sum(taps[:, j] * x_BTF[:, t - j] for j in range(3)) for t in range(2, 6)], dim=1)
    hidden = torch.tanh(torch.cat([x_BTF[:, 2:], past_BSF], dim=-1) @ w.T + b)
    loss = (((hidden @ v.T + c).squeeze(-1) + past_BSF.sum(-1) - batch.y_BS) ** 2).mean()
    want = sum(float(g.norm()) for g in torch.autograd.grad(loss, own))
    assert PROXIES["grad_norm"](network, batch) == pytest.approx(want, rel=1e-5)


def test_costs_are_those_of_the_network():
    one, some = drawn(12)
    template = one.network()
    counts = [template.count(a) for a in some]
    assert proxy_scores(one, some, "params", 0) == [c.parameters for c in counts]
    assert proxy_scores(one, some, "macs", 0) == [c.macs for c in counts]


@pytest.mark.parametrize("name", sorted(PROXIES))
def test_what_a_proxy_depends_on(name):
    """Later rows never; data and seed as the module says; and it leaves the network as it was."""
    one, some = drawn(8)
    template = one.network()
    first, again, other = (
        proxy_batch(data, TRAIN, reach=template.reach(), seed=0) for data in (market(), cut_off(), market(seed=9))
    )
    base = scores_of(template, first, some, name, seed=0)
    assert base == scores_of(template, again, some, name, seed=0) == proxy_scores(one, some, name, 0)
    assert (base == scores_of(template, other, some, name, seed=0)) == (name in DATA_BLIND)
    assert (base == scores_of(template, first, some, name, seed=1)) == (name in SEED_BLIND)
    assert len(set(base)) > 4
    network = template.standalone(some[0], seed=0)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert PROXIES[name](network, first) == base[0]
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())
    assert not any(m._forward_hooks for m in network.modules())


def cut_off():
    """The same market with other rows after the training rows."""
    data, other = market(), market(seed=9)
    for name in ("x_TF", "y_T", "volatility_T"):
        mine = getattr(data, name).copy()
        mine[TRAIN.stop :] = getattr(other, name)[TRAIN.stop :]
        object.__setattr__(data, name, mine)
    return data


def test_ranks_of_several_proxies_are_put_together(monkeypatch):
    one, some = drawn(4)
    told = {"params": [4.0, 3.0, 2.0, 1.0], "macs": [-math.inf, 9.0, 8.0, -math.inf]}
    monkeypatch.setattr(module, "proxy_scores", lambda task, architectures, name, seed: told[name])
    assert best_first(one, some, ["params"]) == some
    # ranks 1 2 3 4 and, with a tie of what cannot be told, 3.5 1 2 3.5
    assert best_first(one, some, ["params", "macs"]) == [some[1], some[0], some[2], some[3]]
    assert best_first(one, [], ["params"]) == []
    with pytest.raises(ConfigError, match="Did you mean 'synflow'"):
        PROXIES["sinflow"]
