"""Fixed-point formats, and which one a value of a quantised network has.

A number of a format is a whole number of steps of 2^-fraction; what does not fit is cut to the nearest that does.  The
formats of a network follow from the bits that its space chose, by rule and not by what a layer happened to see, so that
a supernet, its paths and a standalone network round alike:

    inputs                      sign, 3 before and 4 after the point: z-scores, cut at 8
    outputs of lookback filters sign, 1 and 6
    biases                      sign, 3 and 8
    activations of n bits       `activation_format`: 2 before the point, since a layer begun as He et al. (2015) do has
                                outputs of size one; all n after it where a function stays below 1
    what a table reads          `table_format`: n + 1 bits, sign and 2 before the point
    weights of n bits           sign, and as many before the point as the largest of the tensor asks for
"""

from __future__ import annotations

from dataclasses import dataclass

from tradenas.errors import SpaceError

__all__ = [
    "BIAS", "BINARY", "EXACT", "FILTERED", "INPUT", "MOST_BITS", "TERNARY", "Fixed", "activation_format",
    "check_precision", "table_format",
]  # fmt: skip

EXACT, TERNARY, BINARY = "float", "ternary", "binary"
#: Bits of a weight and of an activation, at least and at most.
LEAST_WEIGHT, LEAST_ACTIVATION, MOST_BITS = 2, 3, 8


@dataclass(frozen=True)
class Fixed:
    """A fixed-point format: sign bit or none, bits before and after the point.

    Either number of bits may be negative, as long as together with the sign there is one bit.

    >>> Fixed(1, 3, 4).bits, Fixed(1, 3, 4).low, Fixed(1, 3, 4).high, Fixed(0, 2, 3).step
    (8, -8.0, 7.9375, 0.125)
    """

    sign: int
    integer: int
    fraction: int

    def __post_init__(self) -> None:
        if self.sign not in (0, 1) or self.bits < 1:
            raise SpaceError("Fixed", got=str(self), expected="a sign of 0 or 1, and one bit or more in all")

    @property
    def bits(self) -> int:
        """In all."""
        return self.sign + self.integer + self.fraction

    @property
    def step(self) -> float:
        """Between neighbours."""
        return float(2.0**-self.fraction)

    @property
    def low(self) -> float:
        """The smallest number."""
        return float(-(2.0**self.integer)) if self.sign else 0.0

    @property
    def high(self) -> float:
        """The largest number."""
        return float(2.0**self.integer) - self.step


INPUT, FILTERED, BIAS = Fixed(1, 3, 4), Fixed(1, 1, 6), Fixed(1, 3, 8)


def activation_format(bits: int, function: str = "") -> Fixed:
    """What a value is rounded to after a function; of sums without one, of `gelu` and of `leaky_relu`, with a sign.

    >>> activation_format(5, "relu"), activation_format(5, "sigmoid"), activation_format(5)
    (Fixed(sign=0, integer=2, fraction=3), Fixed(sign=0, integer=0, fraction=5), Fixed(sign=1, integer=2, fraction=2))
    """
    if function == "relu":
        return Fixed(0, 2, bits - 2)
    if function in ("sigmoid", "tanh"):
        return Fixed(int(function == "tanh"), 0, bits - int(function == "tanh"))
    return Fixed(1, 2, bits - 3)


def table_format(bits: int) -> Fixed:
    """What is rounded to before a function that is a table: 2^(bits + 1) entries."""
    return Fixed(1, 2, bits - 2)


def check_precision(weights: tuple[str, ...], activations: tuple[str, ...], sparsities: tuple[float, ...]) -> None:
    """Refuses what is not a precision.

    Raises:
        SpaceError: names the setting and what it may hold.
    """
    for name, options, words, least in (
        ("weight_bits", weights, (EXACT, TERNARY, BINARY), LEAST_WEIGHT),
        ("activation_bits", activations, (EXACT,), LEAST_ACTIVATION),
    ):
        known = (*words, *map(str, range(least, MOST_BITS + 1)))
        if len(set(options)) < len(options) or not set(options) <= set(known):
            raise SpaceError(f"space.{name}", got=str(options), expected=f"different ones of {', '.join(known)}")
    if list(sparsities) != sorted(set(sparsities)) or any(not 0.0 <= share < 1.0 for share in sparsities):
        raise SpaceError("space.sparsities", got=str(sparsities), expected="rising shares from 0 up to but not with 1")
