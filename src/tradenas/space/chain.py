"""The chain blueprint: layers in a row over chosen inputs (the One-Shot chapter's space)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tradenas.space.blueprint import BLUEPRINTS, SELF_ACTIVATED, WEIGHTLESS, Blueprint, check_rates, check_rising
from tradenas.space.choice import Choice, Option

__all__ = ["CHAIN_OPS", "Chain"]

CHAIN_OPS = (
    "skip", "dense", "conv3", "conv5", "separable3", "separable5", "dilated3", "residual", "gated", "lstm", "gru",
)  # fmt: skip


@BLUEPRINTS.register("chain")
@dataclass(frozen=True, kw_only=True)
class Chain(Blueprint):
    """Inputs, then `depth` layers in a row; each layer chooses its op, width, activation, norm and dropout.

    Choices: those of the inputs, `depth`, and for each layer `layer<i>/{op,width,activation,norm,dropout}`.

    Args:
        depths: numbers of layers on offer.
        ops: operations on offer in every layer; see `tradenas.nn.ops`.  A study of several markets may name those that
            mix them: `cross_attention`, `correlation`, `leader`, `market`, `relative`.  The first
            layer has weights where it has a choice: it turns features into channels, and cropping features by their
            order means nothing.
        widths: channels after a layer.
        activations: what follows an op that is linear and has weights.
        norms: `none`, `layer` (per row, streamable) or `batch` (over rows; ranking recalibrates it per subnet).
        dropouts: rates of channel dropout.

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

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising("space.depths", self.depths, 1, 6)
        check_rising("space.widths", self.widths, 1, 1024)
        check_rates("space.dropouts", self.dropouts)

    def body(self) -> list[Choice]:
        """`depth`, then layer by layer."""
        choices = [Choice(name="depth", options=self.depths)]
        weighted = tuple(op for op in self.ops if op not in WEIGHTLESS)
        linear = tuple(op for op in self.ops if op not in SELF_ACTIVATED)
        for i in range(max(self.depths)):
            layer = f"layer{i}"
            deep: dict[str, tuple[Option, ...]] = {"depth": tuple(d for d in self.depths if d > i)}
            ops = (weighted or self.ops) if i == 0 else self.ops
            choices.append(Choice(name=f"{layer}/op", options=ops, when=deep))
            choices.append(Choice(name=f"{layer}/width", options=self.widths, when=deep))
            for what, options, having in (
                ("activation", self.activations, linear),
                ("norm", self.norms, weighted),
                ("dropout", self.dropouts, weighted),
            ):
                if having:
                    when: dict[str, tuple[Option, ...]] = {**deep, f"{layer}/op": having}
                    choices.append(Choice(name=f"{layer}/{what}", options=options, when=when))
        return choices
