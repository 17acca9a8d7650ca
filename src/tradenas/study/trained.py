"""A trained strategy of a run folder, as what it was traded as: its networks, one for each seed, and their programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tradenas.errors import FolderError
from tradenas.formats.lower import lower
from tradenas.formats.program import Program
from tradenas.formats.simplify import simplify
from tradenas.registry import did_you_mean
from tradenas.space import Architecture
from tradenas.splits import Span, Zones
from tradenas.study.folder import RunFolder
from tradenas.train.fit import Fitted
from tradenas.train.panel import Market
from tradenas.train.store import load_dataset
from tradenas.trials.jobs import read_result
from tradenas.trials.retrain import WEIGHTS, plain, restored

__all__ = ["TrainedStrategy", "champion_of"]


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedStrategy:
    """Networks that speak together: the strategy's output is the mean of theirs.

    All seeds were trained on the same rows, so they share one `Objective`: the mean of the signals is the signal of
    the mean output, and a format may average outputs.

    Attributes:
        folder: of the run.
        row: of `strategies.json`: name, kind, figures.
        architecture: that all of them are.
        fitted: one for each seed, in their order.
        data: rows up to the end of the selection zone; the vault is not opened.
        zones: of the study.
    """

    folder: RunFolder
    row: Mapping[str, Any]
    architecture: Architecture
    fitted: tuple[Fitted, ...]
    data: Market
    zones: Zones

    @classmethod
    def load(cls, path: Path | str, name: str = "") -> TrainedStrategy:
        """A strategy of a run folder.

        Args:
            path: of the run folder.
            name: as in its report (`finalist 1`), or the digest of its architecture; the champion where empty.

        Raises:
            FolderError: no such strategy, or one that is not a network.
        """
        folder = RunFolder.existing(Path(path))
        if not folder.strategies.exists():
            raise FolderError(str(path), got="no trained strategies", expected="a run that got as far as retraining")
        rows = {row["name"]: row for row in folder.read(folder.strategies)["strategies"]}
        name = name or champion_of(folder)
        named = [r for r in rows.values() if name in (r["name"], r["digest"])]
        networks = sorted(r["name"] for r in rows.values() if r["architecture"] is not None)
        if not named:
            raise FolderError(
                str(path), got=f"no strategy {name!r}", expected=f"one of {networks}", fix=did_you_mean(name, networks)
            )
        row = named[0]
        if row["architecture"] is None:
            raise FolderError(
                str(path), got=f"{row['name']!r}, which is no single network", expected=f"one of {networks}",
                fix="a router is exported as its specialists, one by one; baselines are not exported",
            )  # fmt: skip
        data = load_dataset(folder.open_rows)
        params = {"space": plain(folder.config().full_space), "architecture": row["architecture"]}
        return cls(
            folder=folder,
            row=row,
            architecture=Architecture.from_plain(row["architecture"]),
            fitted=tuple(_fitted(folder, params, job, data) for job in row["jobs"]),
            data=data,
            zones=Zones.from_description(folder.read(folder.data)["zones"]),
        )

    @cached_property
    def programs(self) -> tuple[Program, ...]:
        """What each network does, without what does nothing."""
        return tuple(simplify(lower(f.network, f.moments)) for f in self.fitted)

    @property
    def rows(self) -> Span:
        """Rows whose labels the networks learnt from, to calibrate on."""
        return self.zones.search


def champion_of(folder: RunFolder) -> str:
    """The name of what was chosen on the selection zone.

    Raises:
        FolderError: the study has no verdict yet.
    """
    if not folder.verdict.exists():
        raise FolderError(
            str(folder.path),
            got="no verdict",
            expected="a study that ended",
            fix="run it to its end, or name a strategy",
        )
    return str(folder.read(folder.verdict)["champion"]["name"])


def _fitted(folder: RunFolder, params: Mapping[str, Any], job: str, data: Market) -> Fitted:
    at = folder.path / "retrain" / "jobs" / job
    return restored(params, data, at / WEIGHTS, read_result(at, job)["objective"])
