"""The gradient of a validation loss through a training step (DARTS, Liu et al., ICLR 2019, arXiv:1806.09055).

    two levels   min_a L_valid(w*(a), a)  with  w*(a) = argmin_w L_train(w, a)                    eq. 3-4
    one step     w' = w - xi (mu b + dL_train(w, a)/dw + wd w),  b the momentum buffer            eq. 5-6, as SGD steps
    gradient     dL_valid(w', a)/da - xi [d2L_train(w, a) / da dw] v,  v = dL_valid(w', a)/dw'    eq. 7
    product      [dL_train(w + R v, a)/da - dL_train(w - R v, a)/da] / 2R,  R = 0.01 / |v|        eq. 8, around w

`a` are the alphas, `w` all weights together, xi the weights' current learning rate.  The first term is `direct`, the
second `implicit`: it is a few percent of the sum, so an error in it hides; tests look at it alone.

Departures from the authors' code (quark0/darts, architect.py): the product may also be exact (a second backward pass);
|v| = 0 gives an implicit term of 0 instead of NaN; weights are never changed in place, so that none has to be put
back; a weight that the training loss does not reach stays, as torch's SGD leaves it.  As there, the buffer is a
constant and the clipping of the real step is not unrolled.  Networks of tradenas keep no running averages, so that no
pass leaves a trace in batch norms either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import torch
from torch import Tensor

from tradenas.errors import ConfigError
from tradenas.nn import Mixture, Mode, Network, weighing
from tradenas.train.loss import Objective
from tradenas.train.segments import Batch

__all__ = ["Hypergradient", "Loss", "Tensors", "WeightStep", "first_order", "network_loss", "second_order"]

Tensors = Mapping[str, Tensor]
#: Loss of given weights under given alphas.  Called several times a step, it must answer the same each time: dropout
#: and Gumbel noise are drawn from a seed within it, or the difference of two calls is their noise.
Loss = Callable[[Tensors, Tensors], Tensor]

#: Length of the step w + R v - w, over all weights.
DISTANCE = 0.01
K = TypeVar("K")


@dataclass(frozen=True, kw_only=True)
class WeightStep:
    """The step that SGD is about to take on the weights, to be taken in thought.

    Attributes:
        lr: the current learning rate of the weights (xi).
        momentum: of the buffers.
        weight_decay: one for all weights, or one for each.
        buffers: momentum buffers; a weight without one has not been moved yet.
    """

    lr: float
    momentum: float = 0.0
    weight_decay: float | Mapping[str, float] = 0.0
    buffers: Tensors = field(default_factory=dict)

    @classmethod
    def of(cls, optimizer: torch.optim.Optimizer, named_weights: Iterable[tuple[str, Tensor]]) -> WeightStep:
        """What `optimizer` would do next to `network.named_parameters()`.

        Raises:
            ConfigError: not plain SGD with momentum, groups with different rates, or a weight it does not move.
        """
        groups = optimizer.param_groups
        kind = type(optimizer).__name__
        if not isinstance(optimizer, torch.optim.SGD) or any(
            g["nesterov"] or g["dampening"] or g["maximize"] for g in groups
        ):
            raise ConfigError("weight optimiser", got=kind, expected="SGD without Nesterov or dampening")
        if len({(g["lr"], g["momentum"]) for g in groups}) != 1:
            raise ConfigError("weight optimiser", got="groups with different lr or momentum", expected="one of each")
        decay = {id(p): float(g["weight_decay"]) for g in groups for p in g["params"]}
        weight_decay, buffers = {}, {}
        for name, weight in named_weights:
            if id(weight) not in decay:
                raise ConfigError("weight optimiser", got=f"no group with {name}", expected="all weights")
            weight_decay[name] = decay[id(weight)]
            if (buffer := optimizer.state[weight].get("momentum_buffer")) is not None:
                buffers[name] = buffer
        lr, momentum = float(groups[0]["lr"]), float(groups[0]["momentum"])
        return cls(lr=lr, momentum=momentum, weight_decay=weight_decay, buffers=buffers)

    def moved(self, weights: Tensors, gradients: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
        """New tensors w'; the given ones are left alone.  No gradient: not moved, as in torch's SGD."""
        after = {}
        with torch.no_grad():
            for name, weight in weights.items():
                after[name], gradient = weight.detach(), gradients[name]
                if gradient is None:
                    continue
                decay = self.weight_decay[name] if isinstance(self.weight_decay, Mapping) else self.weight_decay
                change = gradient + decay * weight
                if name in self.buffers:
                    change = change + self.momentum * self.buffers[name]
                after[name] = weight - self.lr * change
        return after


@dataclass(frozen=True, kw_only=True)
class Hypergradient:
    """What to hand to the optimiser of the alphas.

    Attributes:
        direct: dL_valid(w', a)/da for each alpha; at first order w' is w.
        implicit: what the training step adds; zeros at first order.
        valid: L_valid(w', a).  No estimate of quality: the alphas learn from it.
        train: L_train(w, a); none at first order, which does not need it.
    """

    direct: dict[str, Tensor]
    implicit: dict[str, Tensor]
    valid: float
    train: float | None = None

    def total(self) -> dict[str, Tensor]:
        """The gradient: the sum of both terms."""
        return {name: self.direct[name] + self.implicit[name] for name in self.direct}


def first_order(loss_valid: Loss, weights: Tensors, alphas: Tensors) -> Hypergradient:
    """The gradient that takes the weights as given (xi = 0): one forward and one backward pass."""
    _apart(weights, alphas)
    a = _leaves(alphas)
    loss = loss_valid({n: w.detach() for n, w in weights.items()}, a)
    direct = _zeroed(_gradients(loss, a), a)
    return Hypergradient(
        direct=direct, implicit={n: torch.zeros_like(x) for n, x in a.items()}, valid=float(loss.detach())
    )


def second_order(
    loss_train: Loss,
    loss_valid: Loss,
    weights: Tensors,
    alphas: Tensors,
    *,
    step: WeightStep,
    product: Literal["finite", "exact"] = "finite",
) -> Hypergradient:
    """The gradient that knows the weights will move: alphas are judged by what they let the weights become.

    Args:
        loss_train: L_train on one batch.
        loss_valid: L_valid on one batch.
        weights: where the weights stand; unchanged afterwards.
        alphas: where the alphas stand; no tensor may be among the weights.
        step: how the weights are about to move.
        product: `finite` differences, two more passes, an error of order R^2 where the loss is smooth; or `exact`, one
            double backward pass, which keeps the graph of a gradient in memory.  Under ReLU they differ, by half in
            `benchmarks/bilevel.py`: the gradient in an alpha jumps where a unit switches, finite differences count the
            jumps within R, the exact product is the derivative between them.

    Raises:
        ConfigError: an alpha is one of the weights.
    """
    _apart(weights, alphas)
    w, a, exact = _leaves(weights), _leaves(alphas), product == "exact"
    train = loss_train(w, a)
    dw = _gradients(train, w, graph=exact)
    after = _leaves(step.moved(w, dw))
    valid = loss_valid(after, a)
    both = _gradients(valid, {("a", n): t for n, t in a.items()} | {("w", n): t for n, t in after.items()})
    direct = _zeroed({n: both["a", n] for n in a}, a)
    v = {n: g for n in after if (g := both["w", n]) is not None}
    product_a = _exact_product(dw, v, a) if exact else _finite_product(loss_train, w, v, a)
    return Hypergradient(
        direct=direct,
        implicit={n: -step.lr * p for n, p in product_a.items()},
        valid=float(valid.detach()),
        train=float(train.detach()),
    )


def _exact_product(dw: Mapping[str, Tensor | None], v: Tensors, a: Tensors) -> dict[str, Tensor]:
    """d/da of <dL_train/dw, v>: what the mixed second derivative makes of v."""
    terms = [(g * v[n]).sum() for n, g in dw.items() if g is not None and g.requires_grad and n in v]
    if not terms:
        return {n: torch.zeros_like(x) for n, x in a.items()}
    return _zeroed(_gradients(torch.stack(terms).sum(), a), a)


def _finite_product(loss_train: Loss, w: Tensors, v: Tensors, a: Tensors) -> dict[str, Tensor]:
    """Eq. 8; 0 where v is 0."""
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(x) for x in v.values()])) if v else None
    if norm is None or float(norm) == 0.0:
        return {n: torch.zeros_like(x) for n, x in a.items()}
    radius = DISTANCE / norm

    def at(sign: float) -> dict[str, Tensor]:
        nearby = {n: x.detach() + sign * radius * v[n] if n in v else x.detach() for n, x in w.items()}
        return _zeroed(_gradients(loss_train(nearby, a), a), a)

    ahead, behind = at(+1.0), at(-1.0)
    return {n: (ahead[n] - behind[n]) / (2.0 * radius) for n in a}


def network_loss(
    network: Network, batch: Batch, objective: Objective, relax: Callable[[Tensors], Mixture], *, seed: int
) -> Loss:
    """The loss of one batch as a function of weights and alphas, the same at every call.

    Args:
        network: gives its form only; its own weights are not read.
        relax: from alphas to the mixture, for instance `relaxation.softmax`.
        seed: of the dropout masks, drawn alike at every call.
    """
    scored = batch.y_BS.shape[1]

    def loss(weights: Tensors, alphas: Tensors) -> Tensor:
        generator = torch.Generator(device=batch.x_BTF.device)
        generator.manual_seed(seed)
        mode = Mode(training=True, generator=generator, scored=scored)
        with weighing(network, weights):
            signal_BT: Tensor = network(batch.x_BTF, relax(alphas), mode)
        return objective.loss(signal_BT[:, -scored:], batch.y_BS, batch.weight_BS)

    return loss


def _apart(weights: Tensors, alphas: Tensors) -> None:
    """An alpha among the weights would be trained by the training loss and shift v: 18 % off (METHODS 4.1)."""
    places = {w.data_ptr(): n for n, w in weights.items() if w.numel()}
    for name, alpha in alphas.items():
        if alpha.numel() and alpha.data_ptr() in places:
            raise ConfigError(
                f"alpha {name}",
                got=f"the weight {places[alpha.data_ptr()]}",
                expected="alphas apart from the weights",
                fix="keep alphas in a dict of their own, not in the network",
            )


def _leaves(tensors: Tensors) -> dict[str, Tensor]:
    return {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}


def _gradients(loss: Tensor, wanted: Mapping[K, Tensor], *, graph: bool = False) -> dict[K, Tensor | None]:
    if not loss.requires_grad:
        return dict.fromkeys(wanted)
    found = torch.autograd.grad(loss, list(wanted.values()), create_graph=graph, allow_unused=True)
    return dict(zip(wanted, found, strict=True))


def _zeroed(gradients: Mapping[str, Tensor | None], like: Tensors) -> dict[str, Tensor]:
    return {n: torch.zeros_like(x) if (g := gradients[n]) is None else g for n, x in like.items()}
