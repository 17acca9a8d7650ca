"""A layer of a chain or an edge of a cell: an op, then its norm, activation and dropout, each of them a choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from tradenas.nn.activations import ACTIVATIONS, channel_dropout
from tradenas.nn.elastic import Count, Width, gate, opened, width_of
from tradenas.nn.merge import Merge
from tradenas.nn.mixture import Mixture, Weighting, expected, weighting
from tradenas.nn.mode import Mode
from tradenas.nn.norms import NORMS, Norm
from tradenas.nn.ops import Op, build_op
from tradenas.space import SELF_ACTIVATED, WEIGHTLESS, Choice, Picked, SearchSpace

__all__ = ["After", "Branch", "Branches", "Layer", "Mix", "weighted_sum"]

Branch = Callable[[int, Tensor, Width], Tensor]


class Mix(Protocol):
    """How the branches of a slot come together: the one hook that a search method may set.

    `branch` runs one op: of a layer it is a `Branches`, which also says what the ops are called.  `which` is the index
    of the one op that runs, the indices of several whose mean is taken, or a weight for each.
    """

    def __call__(self, branch: Branch, x_BTC: Tensor, which: Weighting, width: Width) -> Tensor: ...


def weighted_sum(branch: Branch, x_BTC: Tensor, which: Weighting, width: Width) -> Tensor:
    """DARTS eq. 2: the sum of the branches by their weights; of linear ones that nothing follows, as one kernel."""
    if isinstance(which, Tensor):
        if isinstance(branch, Branches) and branch.layer.merges(x_BTC, which, width):
            return branch.merged(x_BTC, which, width)
        parts = [which[o] * branch(o, x_BTC, width) for o in range(len(which))]
        return torch.stack(parts).sum(0)
    if isinstance(which, int):
        return branch(which, x_BTC, width)
    return torch.stack([branch(o, x_BTC, width) for o in which]).mean(0)


class After(nn.Module):
    """Norm, activation and dropout over the choices `<common>/{norm,activation,dropout}`.

    Args:
        label: of the batch norms in here.
    """

    norms: dict[str, Norm]

    def __init__(self, common: str, space: SearchSpace, *, label: str) -> None:
        super().__init__()
        self.label = label
        self.after = {w: space[f"{common}/{w}"] for w in ("norm", "activation", "dropout") if f"{common}/{w}" in space}

    def with_norms(self, channels: int, *, any_of: Iterable[str] = ("sum",)) -> Self:
        """Builds the norms, where one of these ops has any."""
        norms = self.after["norm"].options if any(self.has("norm", op) for op in any_of) else ()
        self.norms = nn.ModuleDict({str(n): NORMS[str(n)](channels) for n in norms})  # type: ignore[assignment]
        return self

    def has(self, what: str, op: str) -> bool:  # noqa: ARG002
        """Whether something is followed by a norm, an activation or a dropout."""
        return what in self.after

    def finish(self, op: str, y_BTC: Tensor, width: Width, mixture: Mixture, mode: Mode) -> Tensor:
        """Norm, activation and dropout, where this op has them."""
        for what, choice in self.after.items():
            if self.has(what, op):
                weights = weighting(choice, mixture)
                y_BTC = self.step(what, choice, weights, y_BTC, width, mode, op)
        return y_BTC

    def step(
        self, what: str, choice: Choice, weights: Weighting, y_BTC: Tensor, width: Width, mode: Mode, op: str
    ) -> Tensor:
        if what == "dropout":
            rate = expected(weights, choice) if isinstance(weights, Tensor) else float(choice.options[_one(weights)])
            return channel_dropout(y_BTC, rate, mode)

        def apply(option: Picked) -> Tensor:
            if what == "norm":
                return self.norms[str(option)](y_BTC, width, mode, f"{self.label}/{op}/{option}")
            if mode.precision is not None:
                return gate(mode.precision.activation(y_BTC, str(option)), width)
            return gate(ACTIVATIONS[str(option)](y_BTC), width)

        if isinstance(weights, Tensor):
            return torch.stack([w * apply(o) for w, o in zip(weights, choice.options, strict=True)]).sum(0)
        return apply(choice.options[_one(weights)])


class Layer(After):
    """One op of several over the choices `<name>/op` and `<common>/{width,activation,norm,dropout}`.

    Several ops at once, as a tuple of indices, give the mean of what each of them makes.

    Args:
        name: of the layer of a chain, or of the edge of a cell.
        common: whose width and what follows the op; the layer's own where it is not given.
        label: of its batch norms, where several layers have one name.
        assets: that stand in its batch beside each other, for the ops that mix them.
        finished: whether norm, activation and dropout follow each op in here; otherwise nothing does, and linear ops
            run together as one kernel (`tradenas.nn.merge`).
    """

    def __init__(
        self,
        name: str,
        space: SearchSpace,
        c_in: int,
        *,
        mix: Mix = weighted_sum,
        common: str | None = None,
        label: str | None = None,
        assets: int = 1,
        finished: bool = True,
    ) -> None:
        common = common or name
        super().__init__(common, space, label=label or name)
        self.name, self.mix = name, mix
        self.op, self.width = space[f"{name}/op"], space[f"{common}/width"]
        self.c_out = max(int(w) for w in self.width.options)
        self.ops: dict[str, Op]
        ops = {str(o): build_op(str(o), c_in, self.c_out, assets) for o in self.op.options}
        self.ops = nn.ModuleDict(ops)  # type: ignore[assignment]
        self.merge: Merge | None = None
        if not finished:
            self.after, self.merge = {}, Merge(self.ops)
        self.with_norms(self.c_out, any_of=self.ops)

    def has(self, what: str, op: str) -> bool:
        """Whether an op is followed by a norm, an activation or a dropout."""
        if what not in self.after or op in (SELF_ACTIVATED if what == "activation" else WEIGHTLESS):
            return False
        return op in self.after[what].when.get(self.op.name, self.op.options)

    def open(self, mixture: Mixture) -> Tensor | None:
        """The channels of its output that a mixture opens; None for all."""
        return opened(width_of(self.width, weighting(self.width, mixture)))

    def forward(self, x_BTC: Tensor, mixture: Mixture, mode: Mode) -> Tensor:
        width = width_of(self.width, weighting(self.width, mixture))
        return self.mix(Branches(self, mixture, mode), x_BTC, weighting(self.op, mixture), width)

    def merges(self, x_BTC: Tensor, which: Weighting, width: Width) -> bool:
        """Whether the linear ops of a mixture of this layer run as one kernel."""
        channels = width if isinstance(width, int) else len(width)
        soft = isinstance(which, Tensor) and self.merge is not None and self.merge.worthwhile
        return soft and x_BTC.ndim == 3 and x_BTC.shape[-1] == channels

    def reach(self, op: str) -> int:
        """Rows that an op of this layer reads before the current one."""
        return self.ops[op].reach

    def farthest(self, mixture: Mixture) -> int:
        """The most rows before the current one that any op reads which a mixture runs."""
        which = weighting(self.op, mixture)
        run = range(len(self.op.options)) if isinstance(which, Tensor) else _several(which)
        return max(self.reach(str(self.op.options[o])) for o in run)

    def count(self, op: str, c_in: int, width: int, norm: str | None) -> Count:
        """Parameters and multiply-accumulates per candle of one path through this layer."""
        own = self.ops[op].count(c_in, width)
        return own + self.norms[norm].count(width) if norm and self.has("norm", op) else own


@dataclass(frozen=True, eq=False)
class Branches:
    """The ops of a layer in one forward pass, each with what follows it."""

    layer: Layer
    mixture: Mixture
    mode: Mode

    def __call__(self, option: int, x_BTC: Tensor, width: Width) -> Tensor:
        """The output of one op."""
        op, precision = self.name(option), self.mode.precision
        ran = self.layer.ops[op]
        if precision is None:
            return self.layer.finish(op, ran(x_BTC, width), width, self.mixture, self.mode)
        y_BTC = ran(x_BTC, width, precision)
        if ran.sums and not self.layer.has("activation", op):
            y_BTC = precision.activation(y_BTC)
        return self.layer.finish(op, y_BTC, width, self.mixture, self.mode)

    def merged(self, x_BTC: Tensor, which: Tensor, width: Width) -> Tensor:
        """The mixture of the ops of a layer that `merges`."""
        assert self.layer.merge is not None
        (made,) = self.layer.merge.kernels([self.layer.ops], which[None], x_BTC.shape[-1], [(1, 1)])
        return self.layer.merge.run(x_BTC, made, width, x_BTC.shape[-2])[0]

    def name(self, option: int) -> str:
        """What an op is called."""
        return str(self.layer.op.options[option])


def _several(weights: int | tuple[int, ...]) -> tuple[int, ...]:
    return weights if isinstance(weights, tuple) else (weights,)


def _one(weights: int | tuple[int, ...]) -> int:
    return weights if isinstance(weights, int) else weights[0]
