"""What a search for many devices found for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["DevicesRecord", "ServedDevice", "ServedNetwork"]


@dataclass(frozen=True, kw_only=True)
class ServedNetwork:
    """The best network within a device's limits, as the search saw it."""

    digest: str
    words: str
    scores: Mapping[str, float | None]
    costs: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ServedDevice:
    """One device; `fitting` of all that was scored meet its limits, and `not_held` are those that nothing prices."""

    name: str
    profile: str
    limits: Mapping[str, float]
    not_held: Mapping[str, float]
    fitting: int
    best: ServedNetwork | None


@dataclass(frozen=True, kw_only=True)
class DevicesRecord:
    """`search/devices.json`: the best of each device, of so many looks at the shared weights."""

    metric: str
    looks: int
    devices: tuple[ServedDevice, ...]
