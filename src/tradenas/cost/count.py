"""Multiply-accumulates, parameters and bytes of weights of every architecture of a space, from the ops' own `count`.

The tables hold what `tradenas.nn.Network.count` adds up, so that both agree on every architecture; the tests also
compare them with the modules as they run.  Formulas for one row (Hardware-Aware NAS, and the same in FLOPs = 2 MACs):

    convolution k C_in C_out    depthwise k C    separable k C_in + C_in C_out    dense C_in C_out
    attention over W rows  3 C_in C_out + 2 W C_out      (for all n rows at once 2 n^2 d + 3 n d^2)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from tradenas.cost.additive import AdditiveCost, Term
from tradenas.cost.probabilities import values_of
from tradenas.cost.topology import Topology, edge_name
from tradenas.errors import SpaceError
from tradenas.nn import Count, Network
from tradenas.nn.cells import CellStack
from tradenas.nn.elastic import ElasticLinear
from tradenas.nn.precision import EDGE_BITS
from tradenas.nn.reading import Reading
from tradenas.nn.slot import Layer
from tradenas.space import Picked, SearchSpace, is_single, off_option
from tradenas.space.fixed import BIAS, BINARY, EXACT, TERNARY
from tradenas.space.switches import QUANT

__all__ = [
    "BITS",
    "Value",
    "bit_operations",
    "bits_of",
    "counted",
    "feature_terms",
    "flops",
    "macs",
    "multiplicities",
    "parameters",
    "table_over",
    "weight_bytes",
    "window_macs",
]

Value = Callable[[Count], float]

#: Bits of a weight in the formats that have a name.
BITS = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8}


def parameters(network: Network) -> AdditiveCost:
    """Weights of the standalone network of each architecture.

    >>> from tradenas.nn import Layout
    >>> from tradenas.space import Chain
    >>> space = Chain(depths=(1, 2), widths=(8, 16), lookbacks=(5,), ops=("dense", "conv3"), norms=("none",)).space()
    >>> network = Network(space, Layout(groups=("returns",) * 3, transforms=("zscore",)))
    >>> smallest = space.smallest()
    >>> parameters(network).exact(smallest), network.count(smallest).parameters
    (80.0, 80)
    """
    return counted(network, lambda count: count.parameters)


def macs(network: Network) -> AdditiveCost:
    """Multiply-accumulates for one more candle, where all that can be remembered is (streaming).

    Products of weights and of attention, and those of gates; no norms, activations and additions.
    """
    return counted(network, lambda count: count.macs)


def flops(network: Network) -> AdditiveCost:
    """Floating-point operations for one more candle: a multiply-accumulate is two."""
    return macs(network).scaled(2.0)


def window_macs(network: Network, rows: int | None = None) -> AdditiveCost:
    """Multiply-accumulates for one signal where nothing is remembered: the whole window is run.

    Args:
        network: of the space.
        rows: of the window, the same for all architectures; without it what any of them may read (`Network.reach`).
            The network keeps its length, so each layer is run on every row.
    """
    return macs(network).scaled(float(network.reach() if rows is None else _whole("rows", rows)))


def weight_bytes(network: Network, precision: str | int = "float32") -> AdditiveCost:
    """Bytes of the weights, packed without gaps.

    All in one format, or, where the space chooses bits, each in its own (`tradenas.nn.precision`): biases, taps, heads
    and depthwise weights have more than the rest.  Zeros of a sparse network take their place like any other weight,
    and beside two signs a second bit.

    Args:
        network: of the space.
        precision: `float32`, `float16`, `bfloat16`, `int8`, or a number of bits from 1 to 64; of weights that are
            chosen to be float.

    Raises:
        SpaceError: no such format.
    """
    space, asked = network.space, bits_of(precision)
    if QUANT + "weights" not in space:
        return parameters(network).scaled(asked / 8)
    often, name = multiplicities(network), QUANT + "weights"
    names = (name, QUANT + "sparsity") if QUANT + "sparsity" in space else (name,)
    cost = counted(network, _plain, often).times(names, _pruned_bits(space, asked) / 8)
    cost += counted(network, lambda count: count.fine, often).times(
        (name,), _bits(space, "weights", asked, fine=True) / 8
    )
    return cost + counted(network, lambda count: count.biases, often).times((name,), _bias_bits(space, asked) / 8)


def bit_operations(network: Network) -> AdditiveCost:
    """Multiply-accumulates times the bits of both factors, without those that pruning left out: what a circuit adds up.

    The BOPs of Baskin et al. (2021, arXiv:1804.10969) without the accumulator; float has 32 bits, and inputs, which
    have eight, count like activations.  For the look-up tables themselves see `tradenas.formats.verilog`.
    """
    space, often, name = network.space, multiplicities(network), QUANT + "weights"
    fine = counted(network, lambda count: count.fine, often)
    rest = counted(network, lambda count: count.macs - count.fine, often)
    if QUANT + "sparsity" in space:
        kept = torch.tensor([1.0 - float(o) for o in space[QUANT + "sparsity"].options])
        rest = rest.times((QUANT + "sparsity",), kept)
    if name in space:
        cost = rest.times((name,), _bits(space, "weights", 32)) + fine.times(
            (name,), _bits(space, "weights", 32, fine=True)
        )
    else:
        cost = (rest + fine).scaled(32.0)
    values = QUANT + "activations"
    return cost.times((values,), _bits(space, "activations", 32)) if values in space else cost.scaled(32.0)


def _plain(count: Count) -> float:
    """Weights that are neither biases nor fine."""
    return count.parameters - count.biases - count.fine


def _bits(space: SearchSpace, name: str, exact: int, *, fine: bool = False) -> torch.Tensor:
    """Of each option of a precision; ternary weights have two."""
    known = {EXACT: exact, TERNARY: 2, BINARY: 1}
    bits = [
        max(known.get(str(o)) or int(o), EDGE_BITS if fine and o != EXACT else 1) for o in space[QUANT + name].options
    ]  # fmt: skip
    return torch.tensor(bits, dtype=torch.float64)


def _pruned_bits(space: SearchSpace, exact: int) -> torch.Tensor:
    """Of each option of weights, and of sparsity where it is chosen: two signs and zeros take two bits."""
    bits_O = _bits(space, "weights", exact)
    if QUANT + "sparsity" not in space:
        return bits_O
    sparse_S = torch.tensor([float(o) > 0.0 for o in space[QUANT + "sparsity"].options])
    return torch.where(sparse_S, bits_O.clamp_min(2.0)[:, None], bits_O[:, None])


def _bias_bits(space: SearchSpace, exact: int) -> torch.Tensor:
    """Of a bias under each option of weights."""
    options = space[QUANT + "weights"].options
    return torch.tensor([float(exact if o == EXACT else BIAS.bits) for o in options], dtype=torch.float64)


def bits_of(precision: str | int) -> int:
    """Bits of a number in a format, which has a name or is a number of bits.

    >>> bits_of("int8"), bits_of(3)
    (8, 3)
    """
    bits = BITS.get(precision, 0) if isinstance(precision, str) else precision
    if not 1 <= bits <= 64:
        raise SpaceError("precision", got=repr(precision), expected=f"one of {list(BITS)}, or 1 to 64 bits")
    return bits


def _whole(place: str, number: int) -> int:
    if number < 1:
        raise SpaceError(place, got=number, expected="1 or more")
    return number


def feature_terms(
    network: Network, choices: tuple[str, ...], at: Callable[..., float], *, times: str = ""
) -> Iterator[Term]:
    """Tables of something that grows by the same amount with each feature that is read.

    Args:
        network: whose features.
        choices: two at most, beside the switches of the features.
        at: the cost of so many features under values of those choices, given one after the other.
        times: of the terms.

    Raises:
        SpaceError: it does not grow by the same amount.
    """
    space, inputs = network.space, network.inputs
    switches = [c for c, _ in inputs.closing if is_single(c.name)]
    least = inputs.table - len(switches)
    base = table_over(space, choices, partial(at, least))
    yield Term(choices, base, times)
    if not switches:
        return
    slope = table_over(space, choices, partial(at, least + 1)) - base
    for number in range(2, len(switches) + 1):
        whole = table_over(space, choices, partial(at, least + number))
        if torch.equal(base + number * slope, whole):
            continue
        raise SpaceError(
            ", ".join(choices), got="a cost that is not a straight line in the number of inputs",
            expected="a constant plus so much for each", fix="give every feature of this space to the network",
        )  # fmt: skip
    for choice in switches:
        open_O = torch.tensor([float(o != off_option(choice)) for o in choice.options], dtype=torch.float64)
        yield Term((choice.name, *choices), open_O.view(-1, *[1] * slope.ndim) * slope, times)


def table_over(space: SearchSpace, names: Sequence[str], value: Callable[..., float]) -> torch.Tensor:
    """A number for each combination of the values of some choices, given to `value` one after the other."""

    def fill(*picked: Picked) -> object:
        if len(picked) == len(names):
            return value(*picked)
        return [fill(*picked, v) for v in values_of(space[names[len(picked)]])]

    return torch.tensor(fill(), dtype=torch.float64)


def multiplicities(network: Network) -> Topology | None:
    """How often the tables of cells count; costs that share it may be added."""
    return Topology(network.space) if network.stack is not None else None


def counted(network: Network, value: Value, often: Topology | None = None) -> AdditiveCost:
    """What the parts of a network add up to.

    Args:
        network: of the space.
        value: of a part's count.
        often: `multiplicities`, the same for costs that are to be added.
    """
    terms = list(_inputs(network, value))
    if network.stack is not None:
        terms += _cells(network, network.stack, value)
        return AdditiveCost(network.space, terms, multiplicities=often or multiplicities(network))
    for i in range(len(network.layers)):
        terms += _layer(network, i, value)
    return AdditiveCost(network.space, terms)


def _inputs(network: Network, value: Value) -> Iterator[Term]:
    inputs = network.inputs
    singles = [c for c, _ in inputs.closing if is_single(c.name)]
    least = inputs.table - len(singles)

    def at(features: int, lookback: Picked) -> float:
        closed = {c.name: str(off_option(c)) for c in singles[features - least :]}
        return value(inputs.count({**{c.name: "read" for c in singles}, **closed, "input/lookback": lookback})[1])

    return feature_terms(network, ("input/lookback",), at)


def _layer(network: Network, i: int, value: Value) -> Iterator[Term]:
    """The op of a layer between its widths, its norm, and the head where the network may end here."""
    space, layer = network.space, network.layers[i]
    assert isinstance(layer, Layer)
    op, width, before, norm = f"layer{i}/op", f"layer{i}/width", f"layer{i - 1}/width", f"layer{i}/norm"

    def between(o: Any, c_in: Any, w: Any, n: Any = None) -> float:
        return value(layer.count(o, c_in, w, n))

    if i == 0:
        yield from feature_terms(network, (op, width), lambda features, o, w: between(o, 2 * features, w))
    else:
        yield Term((op, before, width), table_over(space, (op, before, width), between))
    if norm in space:
        names = (op, width, norm)
        yield Term(names, table_over(space, names, lambda o, w, n: between(o, 1, w, n) - between(o, 1, w)))
    if i + 1 in network.depth.options:
        head = network.heads[str(i + 1)]
        assert isinstance(head, ElasticLinear)
        ends = table_over(
            space, ("depth", width), lambda d, w: value(head.count(w, 1).at_edge()) if d == i + 1 else 0.0
        )
        yield Term(("depth", width), ends)


def _cells(network: Network, stack: CellStack, value: Value) -> Iterator[Term]:
    """Head, stem, and of the cells what they read, their edges and the norms of their nodes."""
    space, width, norm, head = network.space, "cell/width", "cell/norm", stack.head()
    alone = value(head.count(0, 1, 1).at_edge())
    yield Term((), torch.tensor(alone))
    own = table_over(space, (width,), lambda w: value(head.count(1, w, 1).at_edge()) - alone)
    yield Term((width,), own, "outputs")
    if stack.stem is None:
        return
    stem = stack.stem
    yield from feature_terms(network, (width,), lambda features, w: value(stem.count(2 * features, w)), times="heard")
    body: Any = next(iter(stack.bodies.values()))  # all cells are alike
    read: Reading = next(iter(body.reads.values()))
    yield Term((width,), table_over(space, (width,), lambda w: value(read.count(1, w, w))), "reads")
    yield from (_edge(space, pair, body.layer(pair), value) for pair in stack.pairs)
    for after in list(body.nodes.values())[:1]:
        norms = table_over(space, (width, norm), lambda w, n, norms=after.norms: value(norms[n].count(w)))
        yield Term((width, norm), norms, "nodes")


def _edge(space: SearchSpace, pair: tuple[int, int], layer: Layer, value: Value) -> Term:
    names = (f"cell/edge{pair[0]}-{pair[1]}/op", "cell/width", "cell/norm")
    table = table_over(space, names, lambda o, w, n: 0.0 if o == "zero" else value(layer.count(o, w, w, n)))
    return Term(names, table, edge_name(pair))
