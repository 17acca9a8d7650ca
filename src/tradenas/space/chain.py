"""The chain blueprint: layers in a row over chosen inputs (the One-Shot chapter's space)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tradenas.errors import SpaceError
from tradenas.registry import did_you_mean
from tradenas.space.choice import Choice, Option
from tradenas.space.space import SearchSpace

__all__ = ["CHAIN_OPS", "Chain"]

CHAIN_OPS = (
    "skip", "dense", "conv3", "conv5", "separable3", "separable5", "dilated3", "residual", "gated", "lstm", "gru",
)  # fmt: skip
#: Ops that end in their own nonlinearity, or are none: no activation is chosen for them.
SELF_ACTIVATED = ("skip", "gated", "lstm", "gru")


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Inputs, then `depth` layers in a row; each layer chooses its op, width, activation, norm and dropout.

    Choices: `input/lookback` (rows that the input filters read), `input/transform`, `input/group/<name>` and
    `input/feature/<name>` (off, on), `depth`, and for each layer `layer<i>/{op,width,activation,norm,dropout}`.

    Args:
        depths: numbers of layers on offer.
        ops: operations on offer in every layer; see `tradenas.nn.ops`.  The first layer never skips where it has a
            choice: it turns features into channels, and cropping features by their order means nothing.
        widths: channels after a layer.
        activations: what follows an op that is linear.
        norms: `none`, `layer` (per row, streamable) or `batch` (over rows; ranking recalibrates it per subnet).
        dropouts: rates of channel dropout.
        lookbacks: rows that the input filter bank reads; the memory of the network reaches a little further.
        transforms: feature transforms on offer; each is a block of the feature table.
        groups: feature groups that may be switched off.  A group of the table not named here is always on.
        features: single indicators that may be switched off, each on its own; the others are on.  None of a group
            named above.  Each doubles the space, and the supernet sees each on in half of its paths.

    >>> chain = Chain(depths=(1, 2), ops=("dense", "conv3"), widths=(16, 32), activations=("relu",), norms=("none",),
    ...               dropouts=(0.0,), lookbacks=(20,), transforms=("zscore",))
    >>> chain.space().size()
    20
    """

    kind: Literal["chain"] = "chain"
    depths: tuple[int, ...] = (1, 2, 3, 4)
    ops: tuple[str, ...] = ("skip", "dense", "conv3", "conv5", "separable3", "dilated3", "residual", "gated")
    widths: tuple[int, ...] = (16, 32, 64)
    activations: tuple[str, ...] = ("relu", "gelu", "tanh", "sigmoid", "leaky_relu")
    norms: tuple[str, ...] = ("none", "layer")
    dropouts: tuple[float, ...] = (0.0, 0.1, 0.2)
    lookbacks: tuple[int, ...] = (5, 10, 20, 50, 100)
    transforms: tuple[str, ...] = ("zscore",)
    groups: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, low, high in (("depths", 1, 6), ("widths", 1, 1024), ("lookbacks", 1, 10_000)):
            values = getattr(self, name)
            if not values or list(values) != sorted(set(values)) or values[0] < low or values[-1] > high:
                raise SpaceError(
                    f"space.{name}", got=str(values), expected=f"rising whole numbers from {low} to {high}"
                )
        if any(not 0.0 <= p < 1.0 for p in self.dropouts):
            raise SpaceError("space.dropouts", got=str(self.dropouts), expected="rates from 0 up to but not with 1")
        for name in ("groups", "features"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise SpaceError(f"space.{name}", got=str(getattr(self, name)), expected="each name once")

    def space(self, indicators: Mapping[str, str] | None = None) -> SearchSpace:
        """The choices of this blueprint, in the order in which they are made.

        Args:
            indicators: group of each indicator of the feature table.  Where every one of them can be switched off,
                the space leaves at least one on: a network that reads nothing is not on offer.

        Raises:
            SpaceError: a group or feature that the table does not have, or a feature whose group is switched already.
        """
        switches = [f"input/group/{name}" for name in self.groups] + [f"input/feature/{name}" for name in self.features]
        choices = [
            Choice(name="input/lookback", options=self.lookbacks),
            Choice(name="input/transform", options=self.transforms),
            *(Choice(name=name, options=("off", "on")) for name in switches),
            Choice(name="depth", options=self.depths),
        ]
        weighted = tuple(op for op in self.ops if op != "skip") or self.ops
        linear = tuple(op for op in self.ops if op not in SELF_ACTIVATED)
        for i in range(max(self.depths)):
            layer = f"layer{i}"
            deep: dict[str, tuple[Option, ...]] = {"depth": tuple(d for d in self.depths if d > i)}
            ops = weighted if i == 0 else self.ops
            choices.append(Choice(name=f"{layer}/op", options=ops, when=deep))
            choices.append(Choice(name=f"{layer}/width", options=self.widths, when=deep))
            for what, options, having in (
                ("activation", self.activations, linear),
                ("norm", self.norms, weighted),
                ("dropout", self.dropouts, weighted),
            ):
                if having and having != ("skip",):
                    when: dict[str, tuple[Option, ...]] = {**deep, f"{layer}/op": having}
                    choices.append(Choice(name=f"{layer}/{what}", options=options, when=when))
        covered = indicators is not None and self._covers(indicators)
        return SearchSpace(choices, at_least_one=dict.fromkeys(switches, "on") if covered else None)

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
        return all(group in self.groups or name in self.features for name, group in indicators.items())
