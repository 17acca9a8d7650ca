"""A latency table: times of parts in probes, what fits them to whole networks, and what it was measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tradenas.atomic import read_json, write_json
from tradenas.cost.latency.entries import Entries
from tradenas.cost.latency.fit import Fit
from tradenas.cost.latency.parts import Placed
from tradenas.errors import FolderError

__all__ = ["FORMAT", "Conditions", "Net", "Table"]

FORMAT = "tradenas latency table 1"


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a table was measured on; another table is needed where any of it differs.

    Attributes:
        backend: `onnxruntime`, `c`, `eager` or `cuda`.
        cpu: model of the processor (of the CUDA device).
        threads: of a call.
        batch: windows at once.
        precision: of numbers.
        mode: `window` or `stream`.
        versions: of packages and of the compiler.
        space: choices of the space with their options.
        layout: of the feature table: number of indicators and transforms.
    """

    backend: str
    cpu: str
    threads: int
    batch: int
    precision: str
    mode: str
    versions: dict[str, str]
    space: dict[str, list[Any]]
    layout: list[Any]


@dataclass(frozen=True, kw_only=True)
class Net:
    """A whole network that was measured beside the parts.

    Attributes:
        architecture: by its choices.
        measured_us: median of a call.
        total: sum of its parts, in probes.
        parts: how many.
    """

    architecture: dict[str, Any]
    measured_us: float
    total: float
    parts: int


@dataclass(frozen=True, kw_only=True)
class Table:
    """Times of every part of a space on one device, as `tradenas measure` makes it.

    Attributes:
        device: name of the profile.
        conditions: what must be the same where it is used.
        entries: times of parts in probes.
        fit: from their sum to a network, in probes.
        probe_us: what the probe took, in microseconds.
        floor: how far two halves of the measurement disagree on whole networks (mean relative difference).
        accepted: whether that was more than is allowed, and the table wanted nevertheless.
        error: mean relative error of the fit on the networks that it was fitted on.
        p99: the 99th percentile of single calls in medians of them, for half of those networks more.
        nets: the networks.
        between_us: of some parts that are worked out from others (other rows, another step before what follows), the
            mean error in microseconds; None where there are none.
        load: processes that wanted a core before and after.
        seconds: that it took.
        samples: programs that were timed.
        made: when, ISO 8601 in UTC.
        rescaled: factor by which a later process found the machine slower.
    """

    device: str
    conditions: Conditions
    entries: Entries
    fit: Fit
    probe_us: float
    floor: float
    accepted: bool
    error: float
    p99: float
    nets: tuple[Net, ...]
    between_us: float | None
    load: tuple[float, float]
    seconds: float
    samples: int
    made: str
    rescaled: float = field(default=1.0)

    def microseconds(self, parts: Sequence[Placed]) -> float:
        """Predicted median time of a network with these parts."""
        return self.fit(self.entries.total(parts), len(parts)) * self.us

    @property
    def us(self) -> float:
        """Microseconds a probe, as the machine is now."""
        return self.probe_us * self.rescaled

    def scaled(self, factor: float) -> Table:
        """The same on a machine that is so much slower."""
        return replace(self, rescaled=factor)

    def save(self, path: str | Path) -> None:
        """Writes it as JSON, whole or not at all."""
        plain = asdict(replace(self, entries=None))  # type: ignore[arg-type]
        plain["entries"] = [
            [*key, {str(r): t for r, t in rows.items()}] for key, rows in self.entries.times.items()
        ]  # fmt: skip
        write_json(path, {"format": FORMAT, **plain})

    @classmethod
    def load_file(cls, path: str | Path) -> Table:
        """Reads what `save` wrote.

        Raises:
            FolderError: no such file, or not a latency table.
        """
        plain = read_json(path)
        if not isinstance(plain, dict) or plain.pop("format", None) != FORMAT:
            raise FolderError(str(path), got="another file", expected=FORMAT, fix="make one: tradenas measure")
        try:
            entries = {
                (form, int(i), int(o)): {int(r): float(t) for r, t in rows.items()}
                for form, i, o, rows in plain["entries"]
            }
            return cls(
                **{
                    **plain,
                    "entries": Entries(entries),
                    "conditions": Conditions(**plain["conditions"]),
                    "fit": Fit(**plain["fit"]),
                    "nets": tuple(Net(**net) for net in plain["nets"]),
                    "load": tuple(plain["load"]),
                }
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FolderError(
                str(path), got=f"damaged ({error})", expected=FORMAT, fix="make it again: tradenas measure"
            ) from error
