"""What every blueprint begins with: the inputs and what may be chosen of them."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass

from tradenas.errors import SpaceError
from tradenas.registry import Registry, did_you_mean
from tradenas.space.choice import Choice
from tradenas.space.space import SearchSpace

__all__ = ["BLUEPRINTS", "SELF_ACTIVATED", "WEIGHTLESS", "Blueprint", "check_rates", "check_rising"]

BLUEPRINTS: Registry[type[Blueprint]] = Registry("blueprint")

#: Ops without weights: nothing to normalise or to drop, and as a first layer they would crop features by order.
WEIGHTLESS = ("zero", "skip", "ema4", "ema12", "ema26", "difference", "difference5", "mean5", "max5")
#: Ops that end in their own nonlinearity, or are none: no activation is chosen for them.
SELF_ACTIVATED = (*WEIGHTLESS, "gated", "lstm", "gru", "attention")


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
    `input/feature/<name>` (off, on), then those of the body.

    Args:
        lookbacks: rows that the input filter bank reads; the memory of the network reaches a little further.
        transforms: feature transforms on offer; each is a block of the feature table.
        groups: feature groups that may be switched off.  A group of the table not named here is always on.
        features: single indicators that may be switched off, each on its own; the others are on.  None of a group
            named above.  Each doubles the space, and the supernet sees each on in half of its paths.
    """

    lookbacks: tuple[int, ...] = (20,)
    transforms: tuple[str, ...] = ("zscore",)
    groups: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_rising("space.lookbacks", self.lookbacks, 1, 10_000)
        for name in ("groups", "features"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise SpaceError(f"space.{name}", got=str(getattr(self, name)), expected="each name once")

    @abc.abstractmethod
    def body(self) -> list[Choice]:
        """The choices after those of the inputs, in the order in which they are made."""

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
            *self.body(),
        ]
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
