"""A latency table: times of parts in probes, what fits them to whole networks, and what it was measured on."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tradenas.atomic import read_json, write_json
from tradenas.cost.latency.fit import Fit
from tradenas.cost.latency.parts import THEN, Placed
from tradenas.cost.latency.plan import split
from tradenas.errors import FolderError, SpaceError

__all__ = ["FORMAT", "Conditions", "Entries", "Net", "Table"]

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


class Entries:
    """Times of parts by key and rows, with what lies between them.

    Args:
        times: form, channels read, channels made: rows to probes.
    """

    def __init__(self, times: Mapping[tuple[str, int, int], Mapping[int, float]]) -> None:
        self.times = {key: dict(sorted(rows.items())) for key, rows in times.items()}
        self._shapes: dict[str, list[tuple[int, int]]] = {}
        for form, c_in, c_out in sorted(self.times):
            self._shapes.setdefault(form, []).append((c_in, c_out))
        #: What follows each step somewhere.
        self._forms: dict[str, list[str]] = {}
        for form in self._shapes:
            main, then = split(form)
            self._forms.setdefault(main, []).append(then)
        self._known: dict[tuple[str, int, int, int], float] = {}

    def __len__(self) -> int:
        return sum(map(len, self.times.values()))

    def __call__(self, form: str, c_in: int, c_out: int, rows: int) -> float:
        """Probes of a part on some rows.

        Raises:
            SpaceError: the table has nothing that it could be made of.
        """
        asked = (form, c_in, c_out, rows)
        if asked not in self._known:
            found = self._hung(*asked)
            if found is None:
                found = self._between(*asked)
            if found is None:
                raise SpaceError(
                    "latency table", got=f"the part {form!r} from {c_in} to {c_out} channels, which is not in it",
                    expected="parts of the space that it was measured for", fix="make it again: tradenas measure",
                )  # fmt: skip
            self._known[asked] = found
        return self._known[asked]

    def _hung(self, form: str, c_in: int, c_out: int, rows: int) -> float | None:
        """Of a part that was measured, or by way of what else follows its step (see `plan`)."""
        if (form, c_in, c_out) in self.times:
            return _over(self.times[form, c_in, c_out], rows)
        main, then = split(form)
        for other in self._forms.get(main, ()):
            if (main_other := (_form(main, other), c_in, c_out)) not in self.times:
                continue
            for step in (main, *self._forms):
                if then in self._forms[step] and other in self._forms[step]:
                    for i in [i for i, o in self._shapes[_form(step, then)] if o == c_out]:
                        if (step_other := (_form(step, other), i, c_out)) in self.times:
                            own = _over(self.times[_form(step, then), i, c_out], rows)
                            base = _over(self.times[main_other], rows)
                            return base + own - _over(self.times[step_other], rows)
        return None

    def _between(self, form: str, c_in: int, c_out: int, rows: int) -> float | None:
        """Of a part between other channels: along those that it reads, or both where they are tied."""
        main, _ = split(form)
        shapes = {shape for then in self._forms.get(main, ()) for shape in self._shapes[_form(main, then)]}
        for tied in (False, True):
            ratio = c_out / c_in if tied else None
            near = sorted((i, o) for i, o in shapes if (o == ratio * i if ratio else o == c_out))
            known = {i: t for i, o in near if (t := self._hung(form, i, o, rows)) is not None}
            if len(known) > 1:
                return _over(known, c_in, apart=())
        return None

    def total(self, parts: Sequence[Placed]) -> float:
        """Of all parts of a network together."""
        return sum(self(*placed.part.key, placed.rows) for placed in parts)


def _form(main: str, then: str) -> str:
    return THEN.join(filter(None, (main, then)))


def _over(times: Mapping[int, float], at: int, *, apart: tuple[int, ...] = (1, 2)) -> float:
    """On the straight lines between nodes, and on the outer ones beyond; no line from those apart, if there are two."""
    if at in times:
        return times[at]
    places = sorted(times)
    if len(far := [k for k in places if k not in apart]) > 1:
        places = far
    if len(places) == 1:
        return times[places[0]]
    k = min(max(bisect_left(places, at), 1), len(places) - 1)
    low, high = places[k - 1], places[k]
    return times[low] + (at - low) / (high - low) * (times[high] - times[low])


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
