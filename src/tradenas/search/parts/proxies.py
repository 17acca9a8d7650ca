"""Zero-cost proxies: numbers that an untrained network gives away about what it could learn.

    synflow      R = 1^T prod_l |theta_l| 1;  sum over theta of theta * dR/dtheta     Tanaka et al., NeurIPS 2020
    naswot       log det K,  K_ij = units - hamming(code_i, code_j)                   Mellor et al., ICML 2021
    jacob_cov    - sum_i log(v_i + k) + 1 / (v_i + k),  v the eigenvalues of corr(J)  its first version, 2020
    grad_norm    sum over tensors of the length of dL/dtheta after one batch          Abdelfattah et al., ICLR 2021
    params, macs what the network costs: the rankers that any other has to beat       Ning et al., NeurIPS 2021

Each is a pure function of a standalone network and a batch of training rows; more is better.  None sees a validation
row.  `synflow`, `params` and `macs` do not depend on the data; all but the last two depend on the seed of the weights.

Departures, because these networks end in one number a row, not in an image's classes:

- A sample of `naswot` and `jacob_cov` is a segment, and its rows are to it what pixels are to an image: with one row
  a sample, 16 channels could tell no more than 17 samples apart.
- Codes are signs of what an activation reads, whatever activation it is: relu and leaky_relu break there, gelu goes
  from shut to open, tanh and sigmoid turn from one saturation towards the other.  Gates (of `gated`), inner relus (of
  `residual`) and states (of `lstm`, `gru`) count likewise.
- `synflow` runs norms as nothing, as Abdelfattah et al. do, and every activation as relu: on the positive flow that is
  the identity, where tanh and sigmoid would saturate and shut it.  Gates and cells stay and saturate: what flows
  through the sigmoid of a gate counts for little.
- Lookback taps start at zero and would shut half of the first layer.  `synflow` sets each to 1 / lookback, so that a
  filter passes on what comes in; the linear sum of the filters is left out, being the same line past every network.
  The other proxies take the taps as they start: `grad_norm` then holds the gradients with which they open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from tradenas.nn import Mode, Network, native
from tradenas.nn.ops import GRU, LSTM, Gated, Residual
from tradenas.nn.slot import Layer
from tradenas.registry import Registry
from tradenas.search.base import Task
from tradenas.seeds import rng_for
from tradenas.space import Architecture, SearchSpace
from tradenas.splits import Span
from tradenas.stats import mean_rank
from tradenas.train.loss import Objective
from tradenas.train.panel import Market
from tradenas.train.segments import Segments

__all__ = ["PROXIES", "Proxy", "ProxyBatch", "best_first", "proxy_batch", "proxy_scores", "scores_of"]

#: Segments of a batch, and targets in each.
SEGMENTS, TARGETS = 64, 16

#: k of `jacob_cov`.
JITTER = 1e-5


@dataclass(frozen=True, eq=False, kw_only=True)
class ProxyBatch:
    """Segments of training rows: `x_BTF` with T = history + S rows, labels and weights of the last S, their loss."""

    x_BTF: Tensor
    y_BS: Tensor
    weight_BS: Tensor
    objective: Objective

    def inputs(self, network: Network) -> Tensor:
        """Rows that the network reads for the S targets of each segment."""
        return self.x_BTF[:, -(network.reach(network.space.smallest()) + self.y_BS.shape[1] - 1) :]

    def mode(self) -> Mode:
        """Batch norms over this batch's targets, and no dropout."""
        return Mode(training=True, scored=self.y_BS.shape[1])


Proxy = Callable[[Network, ProxyBatch], float]
PROXIES: Registry[Proxy] = Registry("proxy")


@PROXIES.register("synflow")
def synflow(network: Network, batch: ProxyBatch) -> float:
    """Flow through all paths together, each the product of its absolute weights (arXiv:2006.05467).

    In float64: a product over six layers of 1,024 channels stays below 1e25.
    """
    plain = _linear(network)
    rows = plain.reach(plain.space.smallest())
    columns = batch.x_BTF.shape[-1]
    ones_BTF = torch.ones(plain.layout.assets, rows, columns, dtype=torch.float64, device=batch.x_BTF.device)
    past = plain.inputs(ones_BTF, {})[0, -1, plain.inputs.features :].sum()
    flow = plain(ones_BTF)[0, -1] - past
    weights = list(plain.parameters())
    gradients = torch.autograd.grad(flow, weights, allow_unused=True)
    return float(sum((w.detach() * g).sum() for w, g in zip(weights, gradients, strict=True) if g is not None))


@PROXIES.register("naswot")
def naswot(network: Network, batch: ProxyBatch) -> float:
    """How well the signs inside the network tell samples apart (arXiv:2006.04647v3).

    Where two samples have one code it is `-inf`, or, by rounding, very low.
    """
    modules = [m for layer in network.modules() if isinstance(layer, Layer) for m in _switches(layer)]
    targets = batch.y_BS.shape[1]
    codes: list[Tensor] = []
    hooks = [m.register_forward_hook(lambda _m, _i, y: codes.append((y[:, -targets:] > 0).flatten(1))) for m in modules]
    try:
        with torch.no_grad(), native.off():  # compiled paths have no layers to look into
            network(batch.inputs(network), {}, batch.mode())
    finally:
        for hook in hooks:
            hook.remove()
    return agreement(torch.cat(codes, dim=1)) if codes else -math.inf


def agreement(code_BU: Tensor) -> float:
    """Log-determinant of the number of units in which each two binary codes agree.

    >>> round(agreement(torch.tensor([[True, False], [True, True]])), 4) == round(math.log(2 * 2 - 1 * 1), 4)
    True
    """
    on_BU = code_BU.double()
    off_BU = 1.0 - on_BU
    return float(torch.linalg.slogdet(on_BU @ on_BU.T + off_BU @ off_BU.T).logabsdet)


@PROXIES.register("jacob_cov")
def jacob_cov(network: Network, batch: ProxyBatch) -> float:
    """How little the slopes at different samples have in common (arXiv:2006.04647v1)."""
    x_BTF = batch.inputs(network).clone().requires_grad_()
    signal = network(x_BTF, {}, batch.mode())[:, -batch.y_BS.shape[1] :].sum()
    (slope_BTF,) = torch.autograd.grad(signal, x_BTF)
    alike_BB = torch.corrcoef(slope_BTF.flatten(1).double())
    if not bool(torch.isfinite(alike_BB).all()):
        return -math.inf  # a sample without any slope
    values_B = torch.linalg.eigvalsh(alike_BB).clamp_min(0.0) + JITTER
    return -float((values_B.log() + 1.0 / values_B).sum())


@PROXIES.register("grad_norm")
def grad_norm(network: Network, batch: ProxyBatch) -> float:
    """Lengths of the gradient of each tensor, summed (arXiv:2101.08134)."""
    signal_BS = network(batch.inputs(network), {}, batch.mode())[:, -batch.y_BS.shape[1] :]
    loss = batch.objective.loss(signal_BS, batch.y_BS, batch.weight_BS)
    gradients = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    return float(sum(g.norm() for g in gradients if g is not None))


@PROXIES.register("params")
def params(network: Network, batch: ProxyBatch) -> float:  # noqa: ARG001
    """Parameters."""
    return float(network.count(network.space.smallest()).parameters)


@PROXIES.register("macs")
def macs(network: Network, batch: ProxyBatch) -> float:  # noqa: ARG001
    """Multiply-accumulates for one more candle."""
    return float(network.count(network.space.smallest()).macs)


def _linear(network: Network) -> Network:
    """The network that `synflow` runs: absolute weights, filters that pass on, no norms, relu for all activations."""
    instead = {"norm": ("none",), "activation": ("relu",)}
    choices = [replace(c, options=instead.get(c.name.rpartition("/")[2], c.options)) for c in network.space.choices]
    space = SearchSpace(choices, not_all=network.space.not_all)
    plain = Network(space, network.layout, mix=network.mix)
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if k in plain.state_dict()})
    plain = plain.to(network.inputs.taps.device).double()
    with torch.no_grad():
        for weight in plain.parameters():
            weight.abs_()
        plain.inputs.taps.fill_(1.0 / plain.inputs.taps.shape[1])
    return plain


def _switches(layer: Layer) -> list[nn.Module]:
    """The modules of a standalone network's layer that put out what something opens or shuts by."""
    op = layer.ops[str(layer.op.options[0])]
    found: list[nn.Module] = []
    if isinstance(op, Gated):
        found.append(op.gate)
    if isinstance(op, Residual):
        found.append(op.inner)
    if isinstance(op, LSTM | GRU):
        found.append(op)
    name = str(layer.op.options[0])
    if layer.has("activation", name):
        found.append(layer.norms[str(layer.after["norm"].options[0])] if layer.has("norm", name) else op)
    return found


def proxy_batch(
    data: Market, train: Span, *, reach: int, seed: int, device: torch.device | str = "cpu", segments: int = SEGMENTS
) -> ProxyBatch:
    """Segments drawn from all over the training rows; fewer where there are no more.

    Args:
        reach: rows that the network with the longest memory reads.
    """
    objective = Objective.fitted(data, train)
    cut = Segments(data, train, reach=reach, length=TARGETS, objective=objective, device=device)
    first, covered = cut.cut(rng_for(seed, "proxies"))
    batch = cut.batch(first[:segments], covered[:segments])
    return ProxyBatch(x_BTF=batch.x_BTF, y_BS=batch.y_BS, weight_BS=batch.weight_BS, objective=objective)


def scores_of(
    template: Network, batch: ProxyBatch, architectures: Sequence[Architecture], name: str, *, seed: int
) -> list[float]:
    """A proxy of each architecture's untrained network; more is better, `-inf` where it cannot be told.

    Args:
        template: any network over the search space; nothing of it is used but its space and layout.
        seed: of the weights.
    """
    proxy, device = PROXIES[name], batch.x_BTF.device
    values = [proxy(template.standalone(a, seed=seed).to(device), batch) for a in architectures]
    return [value if math.isfinite(value) else -math.inf for value in values]


def proxy_scores(task: Task, architectures: Sequence[Architecture], name: str, seed: int) -> list[float]:
    """The same for a task: on rows that its methods may learn from."""
    template = Network(task.space, task.data.layout, seed=seed)
    batch = proxy_batch(task.data, task.train, reach=template.reach(), seed=seed, device=task.device)
    return scores_of(template, batch, architectures, name, seed=seed)


def best_first(task: Task, architectures: Sequence[Architecture], names: Sequence[str]) -> list[Architecture]:
    """Architectures by a proxy, or by their mean rank over several; ties by digest."""
    if not architectures:
        return []
    scores_MN = np.array([proxy_scores(task, architectures, name, task.seed) for name in names])
    rank_N = mean_rank(np.maximum(scores_MN, np.finfo(float).min))  # ranks of what cannot be told: last, and tied
    order = sorted(range(len(architectures)), key=lambda i: (rank_N[i], architectures[i].digest))
    return [architectures[i] for i in order]
