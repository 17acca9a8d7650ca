"""Look-up tables of an FPGA that a network takes as a streaming circuit: a cost for the search, known before training.

Products with constants become additions: one for each further digit of a weight in canonical signed digits (CSD; of
whole numbers of w bits w/3 + 1/9 on average), each about as wide as the value that it multiplies.  An output
whose weights have k digits, reading values of b bits into a sum of o bits, takes k - 1 additions, fewer where da4ml
finds sums that several outputs share, and it finds the more of them the more there is to share:

    luts = a sum k b + c sum (k - 1) + d sum (k - 1) o + e sum (k - 1) log2 k + f tables

over the outputs of all layers, one row computed and the others remembered; a table is as large as da4ml counts it.
The coefficients were fitted to da4ml's own estimates of drawn networks, by relative error.

    of a program        digits counted (`program_luts`)
    of an architecture  digits expected from bits and sparsity (`Luts`), so that a mixture has a mean and a gradient
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tradenas.cost.additive import AdditiveCost, Term
from tradenas.cost.count import counted, multiplicities
from tradenas.cost.probabilities import values_of
from tradenas.errors import SpaceError
from tradenas.formats.grid import Grid, fraction_of, grids
from tradenas.formats.program import Depthwise, Multiply, Pointwise, Program, Taps
from tradenas.nn import Mixture, Network
from tradenas.nn.precision import EDGE_BITS
from tradenas.nn.quant import quantised_weight
from tradenas.seeds import seed_for
from tradenas.space import Picked
from tradenas.space.fixed import BINARY, EXACT, INPUT, TERNARY
from tradenas.space.switches import QUANT
from tradenas.typing import FloatArray

__all__ = ["COEFFICIENTS", "EXPECTED", "Luts", "csd_digits", "measures", "program_luts"]

#: a, c, d, e, f of `program_luts`, by `python benchmarks/fpga.py --calibrate 96`.
COEFFICIENTS = (0.3447, 5.2315, 0.2404, -0.9681, 0.5306)
#: Of `Luts.measures`, by the same command.
EXPECTED = (1.1144, -1.1663, 3.1506)


def csd_digits(weights: FloatArray) -> int:
    """Digits that are not 0 of dyadic numbers in canonical signed form, all together: 7 = 8 - 1 has two.

    >>> csd_digits(np.array([7.0, 0.75, -0.5, 0.0, 11 / 8]))
    8
    """
    whole = np.abs(np.rint(np.asarray(weights, dtype=np.float64).ravel() * 2.0**24)).astype(np.int64)
    return int(np.bitwise_count(whole ^ (3 * whole)).sum())


def measures(program: Program) -> tuple[float, float, float, float, float]:
    """What the coefficients of `program_luts` are multiplied with, of a fixed-point program.

    >>> from tradenas.formats.program import Fixed, Input, Quantise
    >>> x = Input(name="x", channels=1)
    >>> q = Quantise(name="q", reads=("x",), channels=1, fixed=Fixed(1, 3, 4))
    >>> y = Taps(name="y", reads=("q",), channels=1, weight=np.array([[[0.75, -0.5]]]), bias=np.ones(1), at=(0, 1))
    >>> measures(Program(steps=(x, q, y), output="y", columns=(0,)))[:3]
    (24.0, 2.0, 22.0)

    Raises:
        SpaceError: a weight reads a value that is on no grid.
    """
    known, live = grids(program), program.rows()
    found = np.zeros(5)

    def grid(name: str) -> Grid:
        if name not in known:
            raise SpaceError("program_luts", got=f"{name!r}, a value on no grid", expected="a program in fixed point")
        return known[name]

    for step in program.steps[1:]:
        if not live[step.name]:
            continue
        if isinstance(step, Taps | Depthwise):
            found[:4] += _additions(step, grid(step.reads[0]))
        elif isinstance(step, Pointwise) and step.function != "relu":
            bits = grid(step.reads[0]).fixed.bits
            found[4] += step.channels * 2.0 ** max(bits - 5, 0) * -(-bits // 2)
        elif isinstance(step, Multiply):
            found[4] += step.channels * grid(step.reads[0]).fixed.bits * grid(step.reads[1]).fixed.bits
    digits, additions, wide, shared, tables = map(float, found)
    return digits, additions, wide, shared, tables


def _additions(step: Taps | Depthwise, read: Grid) -> FloatArray:
    """The first four measures of one layer; a value that is always the same is no value."""
    varies_C = read.low_C < read.high_C
    largest_C = np.maximum(np.abs(read.low_C), np.abs(read.high_C))
    weight = step.weight[:, varies_C].reshape(step.channels, -1) if isinstance(step, Taps) else step.weight
    found = np.zeros(4)
    for c, row in enumerate(weight):
        if isinstance(step, Depthwise) and not varies_C[c]:
            continue
        digits = csd_digits(row)
        if digits:
            most = float(np.abs(row).sum()) * float(largest_C[c] if isinstance(step, Depthwise) else largest_C.max())
            out = math.ceil(math.log2(most)) + 1 + read.fraction + max(fraction_of(row) or 0, 0)
            more = digits - 1
            found += (digits * read.fixed.bits, more, more * out, more * math.log2(digits))
    return found


def program_luts(program: Program) -> float:
    """Look-up tables of six inputs that a program takes as a streaming circuit, as da4ml would estimate them.

    Raises:
        SpaceError: the program is not in fixed point.
    """
    return max(0.0, float(np.dot(COEFFICIENTS, measures(program))))


class Luts:
    """The same of an architecture before it has weights, and of a mixture: `exact`, `expected`.

    Weights, values and sparsity are chosen once for the network, so the cost is a sum of products of means:

        digits x bits = (8 F_first + A F_other) D_fine + (8 W_first + A W_other) D        A the bits of values

    with F taps, heads and depthwise weights, which have more bits, W the others, both by whether they read inputs, and
    D the digits of a weight of a normally distributed tensor, cut and rounded as the network does it.  Tables of
    activations are left out.

    Args:
        network: over a space whose weights and values are all in fixed point.

    Raises:
        SpaceError: the space still offers `float`, or no precision at all.
    """

    def __init__(self, network: Network) -> None:
        space = network.space
        for name in ("weights", "activations"):
            if QUANT + name not in space or EXACT in space[QUANT + name].options:
                raise SpaceError(
                    "Luts", got=f"{QUANT}{name} that may be float", expected="fixed point whatever is chosen",
                    fix="name bits alone in space.weight_bits and space.activation_bits",
                )  # fmt: skip
        often = multiplicities(network)
        (self.fine_first, self.fine_other), (self.first, self.other) = (
            _by_input(counted(network, value, often))
            for value in (lambda count: count.fine, lambda count: count.macs - count.fine)
        )
        self.biases = counted(network, lambda count: count.biases, often)
        cuts = (QUANT + "weights", QUANT + "sparsity") if QUANT + "sparsity" in space else (QUANT + "weights",)

        def table(edge: bool) -> AdditiveCost:
            values = [values_of(space[name]) for name in cuts]
            shares = values[1] if values[1:] else (0.0,)
            found = [
                [_digits(_kept(str(w), edge), 0.0 if edge else float(str(share))) for share in shares]
                for w in values[0]
            ]
            cells = torch.tensor(found, dtype=torch.float64)
            return AdditiveCost(space, [Term(cuts, cells if values[1:] else cells[:, 0])])

        self.digits, self.edge_digits = table(False), table(True)
        name = QUANT + "activations"
        bits = torch.tensor([float(str(o)) for o in values_of(space[name])], dtype=torch.float64)
        self.bits = AdditiveCost(space, [Term((name,), bits)])

    def measures(self, architecture: Mapping[str, Picked]) -> tuple[float, float, float]:
        """Digits times bits, digits, and bits of the layers' outputs: what `EXPECTED` is multiplied with."""
        wide, digits, rounded = self._sums(lambda part: part.exact(architecture))
        return float(wide), float(digits), float(rounded)

    def exact(self, architecture: Mapping[str, Picked]) -> float:
        """Of one architecture, with the digits that its weights may be expected to have."""
        return max(0.0, float(np.dot(EXPECTED, self.measures(architecture))))

    def expected(self, mixture: Mixture) -> Tensor:
        """The mean over what a mixture draws: a float64 scalar, differentiable by its weights."""
        sums = self._sums(lambda part: part.expected(mixture))
        return torch.stack([a * part for a, part in zip(EXPECTED, sums, strict=True)]).sum()

    def _sums(self, of: Callable[[AdditiveCost], Any]) -> tuple[Any, Any, Any]:
        bits, inner, edge = of(self.bits), of(self.digits), of(self.edge_digits)
        parts = (self.fine_first, self.fine_other, self.first, self.other)
        fine_first, fine_other, first, other = (of(part) for part in parts)
        wide = (fine_first * INPUT.bits + fine_other * bits) * edge + (first * INPUT.bits + other * bits) * inner
        digits = (fine_first + fine_other) * edge + (first + other) * inner
        return wide, digits, of(self.biases) * bits  # each bias is one number that is rounded


def _by_input(cost: AdditiveCost) -> tuple[AdditiveCost, AdditiveCost]:
    """What reads inputs, and what reads values of other layers."""
    first, other = list[Term](), list[Term]()
    for term in cost.terms:
        head = "depth" in term.choices or term.times == "outputs"
        reads = "input/lookback" in term.choices or term.times == "heard"
        reads |= any(c.startswith("layer0/") for c in term.choices)
        (first if reads and not head else other).append(term)
    return tuple(AdditiveCost(cost.space, terms, multiplicities=cost.multiplicities) for terms in (first, other))  # type: ignore[return-value]


def _kept(option: str, edge: bool) -> str:
    """Taps, heads and depthwise weights have some bits at least."""
    return str(EDGE_BITS) if edge and (option in (TERNARY, BINARY) or int(option) < EDGE_BITS) else option


@lru_cache(maxsize=256)
def _digits(option: str, sparsity: float) -> float:
    """CSD digits of a weight on average, of tensors of 768 normal weights."""
    generator = torch.Generator().manual_seed(seed_for(0, "fpga", "digits"))
    drawn = [torch.randn(768, 1, generator=generator) for _ in range(8)]
    found = [csd_digits(quantised_weight(w, option, sparsity).double().numpy()) / 768 for w in drawn]
    return sum(found) / len(found)
