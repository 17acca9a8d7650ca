"""One supernet, many devices: a budget each, and for each the best architecture within it, without training again.

Once-for-All (Cai et al., ICLR 2020, arXiv:1908.09791, sec. 3.3, deployment): the weights are trained once, and a
specialised network is looked for in them for every device.  What was scored for one device is known for the next one:
a score is one look at one architecture, and does not depend on who asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tradenas.cost import COSTS, Budget, PriceList, prices
from tradenas.cost.devices import Device, device
from tradenas.errors import ConfigError
from tradenas.nn import Network
from tradenas.search.base import Candidate, Task
from tradenas.space import Architecture

__all__ = ["Target", "check_targets", "told", "winners_first"]


@dataclass(frozen=True, kw_only=True)
class Target(Budget):
    """One device: what a network for it may cost.

    Attributes:
        name: of the device, in the record.
        profile: a device that ships (`cpu-1core`, `fpga-ice40` and so on) or the full path of a TOML file of one's own;
            with its precision and mode, and those of its limits that are not named here.  Empty for the limits alone.
    """

    name: str
    profile: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name:
            raise ConfigError("search.devices.name", got=repr(self.name), expected="a name")
        if not self.profile and not self.limits():
            raise ConfigError(
                f"search.devices {self.name!r}", got="neither limits nor a profile", expected="one of both"
            )
        self.known()

    def known(self) -> Device | None:
        """The profile."""
        return device(self.profile) if self.profile else None

    @property
    def place(self) -> str:
        """Where its limits are, for errors; those of a window are many times those of one more candle."""
        profile = self.known()
        mode = ", costs of a whole window" if profile is not None and profile.mode == "window" else ""
        return f"search.devices {self.name!r} ({self.profile}{mode})" if profile else f"search.devices {self.name!r}"

    def priced(self, task: Task) -> PriceList:
        """What networks cost on it and may cost."""
        listed, profile = task.price_list(), self.known()
        limits = {} if profile is None else profile.limits.set()
        latency = listed.costs.get("latency_us")
        costs = dict(listed.costs)
        if profile is not None:
            space = listed.costs["macs"].space  # type: ignore[attr-defined]  # a sum over its choices
            costs = dict(prices(
                Network(space, task.data.layout), precision=profile.precision, mode=profile.mode, latency=latency
            ))  # fmt: skip
        held = Budget(**{**{n: v for n, v in limits.items() if n in costs}, **self.limits()})
        return replace(listed, costs=costs, budget=held)

    def not_held(self, listed: PriceList) -> dict[str, float]:
        """Limits of the profile that nothing prices."""
        profile = self.known()
        every = {} if profile is None else profile.limits.set()
        return {name: limit for name, limit in every.items() if name not in listed.costs}


def check_targets(targets: Sequence[Target]) -> None:
    """Refuses two devices of one name."""
    names = [t.name for t in targets]
    if len(set(names)) < len(names):
        raise ConfigError("search.devices.name", got=str(names), expected="each name once")


def told(target: Target, listed: PriceList, ranked: Sequence[Candidate]) -> dict[str, Any]:
    """What is recorded of a device.

    Args:
        listed: its prices.
        ranked: all that was scored, best first.
    """
    fitting = [c for c in ranked if listed.fits(c.architecture)]
    best = fitting[0] if fitting else None
    return {
        "name": target.name,
        "profile": target.profile,
        "limits": listed.limits,
        "not_held": target.not_held(listed),
        "fitting": len(fitting),
        "best": None if best is None else {
            "architecture": dict(best.architecture),
            "digest": best.architecture.digest,
            "words": Architecture(dict(sorted(best.architecture.items()))).describe(),
            "scores": best.scores,
            "costs": {name: listed.one(name, best.architecture) for name in COSTS if name in listed.costs},
        },
    }  # fmt: skip


def winners_first(ranked: Sequence[Candidate], winners: Sequence[Architecture]) -> list[Candidate]:
    """The best of each device, so that all of them become finalists, then the others; both in their order."""
    first = [c for c in ranked if c.architecture in winners]
    return first + [c for c in ranked if c.architecture not in winners]
