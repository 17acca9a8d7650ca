"""What every blueprint begins with: the inputs and what may be chosen of them."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass

from tradenas.errors import SpaceError
from tradenas.registry import Registry, did_you_mean
from tradenas.space.choice import Choice, Option
from tradenas.space.fixed import check_precision
from tradenas.space.space import SearchSpace
from tradenas.space.switches import COLUMN, FEATURE, GROUP, OFF, QUANT, off_option

__all__ = [
    "BLUEPRINTS", "CROSS_ASSET", "FIXED_POINT", "SELF_ACTIVATED", "WEIGHTLESS", "Blueprint", "check_rates",
    "check_rising",
]  # fmt: skip

BLUEPRINTS: Registry[type[Blueprint]] = Registry("blueprint")

#: Ops without weights: nothing to normalise or to drop, and as a first layer they would crop features by order.
WEIGHTLESS = ("zero", "skip", "ema4", "ema12", "ema26", "difference", "difference5", "mean5", "max5",
              "market", "relative")  # fmt: skip
#: Ops that end in their own nonlinearity, or are none: no activation is chosen for them.
SELF_ACTIVATED = (*WEIGHTLESS, "gated", "lstm", "gru", "mingru", "mingru8", "mingru4", "attention",
                  "cross_attention", "leader")  # fmt: skip
#: Ops that mix assets: only for networks over two or more.
CROSS_ASSET = ("cross_attention", "correlation", "leader", "market", "relative")


#: Ops that a quantised network may have, which round as a circuit does.
FIXED_POINT = ("zero", "skip", "difference", "difference5", "max5", "dense", "conv3", "conv5", "dilated3",
               "separable3", "separable5", "residual", "gated", "mingru", "mingru8", "mingru4")  # fmt: skip
#: Of the others the nearest that does.
NEAREST = {"mean5": "separable5", "ema4": "separable5", "ema12": "dilated3", "ema26": "dilated3", "attention": "mingru",
           "gru": "mingru", "lstm": "mingru"}  # fmt: skip


def check_rising(place: str, values: tuple[int, ...], low: int, high: int) -> None:
    """Refuses anything but rising whole numbers within bounds."""
    if not values or list(values) != sorted(set(values)) or values[0] < low or values[-1] > high:
        raise SpaceError(place, got=str(values), expected=f"rising whole numbers from {low} to {high}")


def check_rates(place: str, rates: tuple[float, ...]) -> None:
    """Refuses what is not a rate of dropout."""
    if any(not 0.0 <= p < 1.0 for p in rates):
        raise SpaceError(place, got=str(rates), expected="rates from 0 up to but not with 1")


@dataclass(frozen=True, kw_only=True)
class Blueprint(abc.ABC):
    """Inputs, then a body that is made of them.

    Choices: `input/lookback` (rows that the input filters read), `input/transform`, `input/group/<name>` and
    `input/feature/<name>` (off, on), then those of the body.  With `column_ops` there is an `input/column/<name>` for
    each indicator instead of the one `input/transform`.

    Args:
        lookbacks: rows that the input filter bank reads; the memory of the network reaches a little further.
        transforms: feature transforms on offer, one for all indicators; each is a block of the feature table.
        column_ops: offered to each indicator by itself in place of `transforms`: transforms, and `drop`, which does not
            read it.  Empty: one transform for all.  Each is a block of the feature table too, so memory grows with
            their number, and every path trains each op of a column in a share of one in that number.
        groups: feature groups that may be switched off.  A group of the table not named here is always on.
        features: single indicators that may be switched off, each on its own; the others are on.  None of a group
            named above.  Each doubles the space, and the supernet sees each on in half of its paths.  With `drop` among
            `column_ops` neither groups nor features are named: every indicator has its switch then.
        weight_bits: precisions of weights on offer to the whole network: `float`, `2` to `8` bits, `ternary`, `binary`.
            Empty: weights are float and there is no such choice.
        activation_bits: precisions of values on offer: `float`, `3` to `8` bits.  Inputs are then cut at 8 and rounded
            to sixteenths: every transform makes columns of size one, which lose little by it.
        sparsities: shares of the weights between layers that are 0, on offer.  With any of the three, ops and norms are
            those that fixed point knows (`tradenas.space.fixed`).
    """

    lookbacks: tuple[int, ...] = (20,)
    transforms: tuple[str, ...] = ("zscore",)
    column_ops: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    weight_bits: tuple[str, ...] = ()
    activation_bits: tuple[str, ...] = ()
    sparsities: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_rising("space.lookbacks", self.lookbacks, 1, 10_000)
        check_precision(self.weight_bits, self.activation_bits, self.sparsities)
        if self.weight_bits or self.activation_bits or self.sparsities:
            self._check_fixed_point()
        for name in ("groups", "features", "column_ops"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise SpaceError(f"space.{name}", got=str(getattr(self, name)), expected="each name once")
        if not self.column_ops:
            return
        if not self.blocks:
            raise SpaceError("space.column_ops", got=str(self.column_ops), expected="an op that reads the column")
        if self.transforms != Blueprint.transforms:
            raise SpaceError(
                "space.transforms",
                got=f"{self.transforms} beside space.column_ops",
                expected="one of the two: a transform for all indicators, or an op for each",
            )
        if OFF[COLUMN] in self.column_ops and (self.groups or self.features):
            raise SpaceError(
                "space.column_ops",
                got=f"{OFF[COLUMN]!r} beside space.groups or space.features",
                expected="one switch for each indicator",
                fix=f"leave out {OFF[COLUMN]!r}, or groups and features",
            )

    @property
    def blocks(self) -> tuple[str, ...]:
        """The transforms that the feature table has to hold."""
        return tuple(op for op in self.column_ops or self.transforms if op != OFF[COLUMN])

    @abc.abstractmethod
    def body(self) -> list[Choice]:
        """The choices after those of the inputs, in the order in which they are made."""

    def space(self, indicators: Mapping[str, str] | None = None) -> SearchSpace:
        """The choices of this blueprint, in the order in which they are made.

        Args:
            indicators: group of each indicator of the feature table; with `column_ops` they have to be given.  Where
                every one of them can be switched off, the space leaves at least one on: a network that reads nothing is
                not on offer.

        Raises:
            SpaceError: a group or feature that the table does not have, or a feature whose group is switched already.
        """
        named = [f"{GROUP}{name}" for name in self.groups] + [f"{FEATURE}{name}" for name in self.features]
        switches = [Choice(name=name, options=("off", "on")) for name in named]
        shared = [Choice(name="input/transform", options=self.transforms)]
        if self.column_ops:
            if indicators is None:
                raise SpaceError("space.column_ops", got="no indicators", expected="those of the feature table")
            shared = [Choice(name=f"{COLUMN}{name}", options=self.column_ops) for name in indicators]
        choices = [Choice(name="input/lookback", options=self.lookbacks), *shared, *switches, *self.body()]
        precisions: dict[str, tuple[Option, ...]] = {
            "weights": self.weight_bits, "activations": self.activation_bits, "sparsity": self.sparsities,
        }  # fmt: skip
        choices += [Choice(name=f"{QUANT}{name}", options=options) for name, options in precisions.items() if options]
        covered = indicators is not None and self._covers(indicators)
        off = {c.name: off_option(c) for c in choices}
        return SearchSpace(choices, not_all={n: o for n, o in off.items() if o is not None} if covered else None)

    def _check_fixed_point(self) -> None:
        """Refuses what a quantised network cannot have."""
        for op in getattr(self, "ops", ()):
            if op not in FIXED_POINT:
                near = NEAREST.get(op)
                raise SpaceError(
                    "space.ops", got=f"{op!r} in a quantised space", expected=f"ops among {', '.join(FIXED_POINT)}",
                    fix=f"offer {near!r}, the nearest" if near else "leave it out",
                )  # fmt: skip
        for norm in getattr(self, "norms", ()):
            if norm != "none":
                raise SpaceError(
                    "space.norms", got=f"{norm!r} in a quantised space", expected="none",
                    fix='set norms = ["none"]: a layer norm divides, and a batch norm folded into weights rounds anew',
                )  # fmt: skip
        if getattr(self, "follow", "each") != "each":
            raise SpaceError(
                "space.follow", got=f"{getattr(self, 'follow', None)!r} in a quantised space", expected="each",
                fix='set follow = "each": merged kernels are not those that are rounded',
            )  # fmt: skip

    def _covers(self, indicators: Mapping[str, str]) -> bool:
        """Whether every indicator can be switched off; refuses names that mean nothing or the same twice."""
        for what, named, known in (
            ("groups", self.groups, indicators.values()),
            ("features", self.features, indicators),
        ):
            for name in named:
                if name not in known:
                    raise SpaceError(
                        f"space.{what}", got=repr(name), expected=f"one of the table's {what}",
                        fix=did_you_mean(name, sorted(set(known))),
                    )  # fmt: skip
        for name in self.features:
            if indicators[name] in self.groups:
                raise SpaceError(
                    "space.features",
                    got=f"{name!r}, which the group {indicators[name]!r} of space.groups switches already",
                    expected="one switch for each indicator",
                    fix="name its group or the indicator, not both",
                )
        droppable = OFF[COLUMN] in self.column_ops
        return droppable or all(g in self.groups or name in self.features for name, g in indicators.items())
