"""How a network rounds under a mixture: what its space chose for weights, activations and sparsity.

Under an index weights and values are those of the one format.  Under weights they are sums of the formats by their
weights, of one float tensor that all of them share: sum_o p_o Q_o(w), so that a layer runs once whatever is on offer
(EdMIPS: Cai & Vasconcelos 2020, arXiv:2004.05795, eq. 8; the same mixing as Wu et al. 2018, arXiv:1812.00090).

Taps of the lookback filters and heads are the network's first and last weights: they have 6 bits at least and are not
pruned, since there are few of them and all that a network says passes through (as in XNOR-Net, arXiv:1603.05279, and
DoReFa-Net, arXiv:1606.06160, where they stay float).  So have depthwise weights, three or five a channel: as ternary
ones they cost three points of a planted forecast and spare next to nothing (`benchmarks/quantised.py`, net `deep`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tradenas.nn.activations import ACTIVATIONS
from tradenas.nn.mixture import Mixture, Weighting, weighting
from tradenas.nn.quant import fixed_point, quantised_weight, tabled
from tradenas.space import Option, SearchSpace
from tradenas.space.fixed import BIAS, BINARY, EXACT, TERNARY, Fixed, activation_format
from tradenas.space.switches import QUANT

__all__ = ["EDGE_BITS", "Precision"]

#: Bits of the first, the last and of depthwise weights, at least.
EDGE_BITS = 6

#: Options with the weight of each; None for the only one.
Shares = tuple[tuple[str, Tensor | None], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Precision:
    """The formats of one forward pass.

    Attributes:
        weights: options with their shares.
        activations: options with their shares.
        sparsities: options with their shares.
        open_C: the channels of a layer's input that may hold something; None for all.  A weight that reads a closed
            channel has no say in the scale of its tensor: a narrower network does not have it.
        edge: whether these are taps or a head.
    """

    weights: Shares = ((EXACT, None),)
    activations: Shares = ((EXACT, None),)
    sparsities: Shares = (("0.0", None),)
    open_C: Tensor | None = None
    edge: bool = False

    @classmethod
    def of(cls, space: SearchSpace, mixture: Mixture) -> Precision | None:
        """What a mixture says; None where all of it is float and dense."""
        asked = {
            name: _shares(space[QUANT + name].options, weighting(space[QUANT + name], mixture))
            for name in ("weights", "activations", "sparsity")
            if QUANT + name in space
        }
        if all(shares in (((EXACT, None),), (("0.0", None),)) for shares in asked.values()):
            return None
        dense: Shares = (("0.0", None),)
        exact: Shares = ((EXACT, None),)
        return cls(
            weights=asked.get("weights", exact),
            activations=asked.get("activations", exact),
            sparsities=asked.get("sparsity", dense),
        )

    @property
    def bits(self) -> int | None:
        """Of activations, where there is one format; None for float."""
        ((option, _),) = self.activations
        return None if option == EXACT else int(option)

    def reading(self, open_C: Tensor | None) -> Precision:
        """The same for a layer whose input has these channels."""
        return self if open_C is None and self.open_C is None else replace(self, open_C=open_C)

    def at_edge(self) -> Precision:
        """The same for taps and heads."""
        return replace(self, edge=True, sparsities=(("0.0", None),))

    def weight(
        self, w: Tensor, *, rows: Tensor | None = None, depthwise: bool = False, stacked: bool = False
    ) -> Tensor:
        """A tensor of weights, rounded and pruned.

        Args:
            w: (out, in, ...), or (channels, ...) of a depthwise layer.
            rows: outputs that are open; None for all.
            depthwise: whether `w` has an axis of channels in place of outputs and inputs.
            stacked: whether the axis of N networks stands in front.
        """
        columns, axes = self.open_C, w.ndim - stacked
        if depthwise:
            rows, columns = columns, None
        open_ = None
        if rows is not None:
            open_ = rows.view(-1, *[1] * (axes - 1))
        if columns is not None:
            part = columns.view(-1, *[1] * (axes - 2))
            open_ = part if open_ is None else open_ & part

        def made(option: str, share: str) -> Tensor:
            few = (self.edge or depthwise) and option != EXACT
            if few and (option in (TERNARY, BINARY) or int(option) < EDGE_BITS):
                option = str(EDGE_BITS)
            return quantised_weight(w, option, float(share), open_=open_, stacked=stacked)

        sparsities: Shares = (("0.0", None),) if depthwise else self.sparsities
        return _mixed(sparsities, lambda s: _mixed(self.weights, lambda o: made(o, s)))

    def bias(self, bias: Tensor) -> Tensor:
        """A bias, in the one format of all biases."""
        return _mixed(self.weights, lambda option: bias if option == EXACT else fixed_point(bias, BIAS))

    def value(self, x: Tensor, fixed: Fixed) -> Tensor:
        """Numbers in a format that does not hang on the bits: inputs, and what the lookback filters made of them."""
        return _mixed(self.activations, lambda option: x if option == EXACT else fixed_point(x, fixed))

    def activation(self, x: Tensor, function: str = "", *, more: int = 0) -> Tensor:
        """Sums after a function and rounded, to so many bits more than asked for; without one only rounded."""

        def made(option: str) -> Tensor:
            if option == EXACT:
                return ACTIVATIONS[function](x) if function else x
            bits = int(option) + more
            if function in ("", "relu"):
                return fixed_point(torch.relu(x) if function else x, activation_format(bits, function))
            return tabled(x, function, bits)

        return _mixed(self.activations, made)


def _shares(options: tuple[Option, ...], which: Weighting) -> Shares:
    if isinstance(which, Tensor):
        return tuple((str(option), share) for option, share in zip(options, which, strict=True))
    return ((str(options[which if isinstance(which, int) else which[0]]), None),)


def _mixed(shares: Shares, made: Callable[[str], Tensor]) -> Tensor:
    total: Tensor | None = None
    for option, share in shares:
        part = made(option) if share is None else share * made(option)
        total = part if total is None else total + part
    assert total is not None
    return total
