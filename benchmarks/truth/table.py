"""The table as something to measure a search method against.

from truth.table import Table
table = Table.load()
task = table.task("volume", seed=0)            # data, rows and space, exactly those of the table
truth_NS = table.scores("volume", "ic")        # valid rows; zone="test" for what no method may see
table.ceiling("volume", "ic")                  # how far trainings agree with trainings
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tradenas.errors import ConfigError
from tradenas.search.base import Scorer, Task
from tradenas.space import Architecture
from tradenas.stats import RankAgreement, kendall, tau_ceiling
from tradenas.train.evaluate import METRICS
from truth import setting

__all__ = ["CELLS", "TABLE", "Ceiling", "Table"]

TABLE, CELLS = (Path(__file__).with_name(name) for name in ("table.parquet", "cells.parquet"))


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """How well trainings agree with trainings of the same architectures: more cannot be asked of a proxy.

    Attributes:
        one_against_rest: tau of one seed against the mean of the others, the mean over which seed is left out.  The
            ceiling of a proxy that is compared with the mean of S - 1 seeds; a little low for one compared with S.
        first_second: tau of the first seed against the second, with its interval.
    """

    one_against_rest: float
    first_second: RankAgreement


class Table:
    """Scores of every architecture of the space, alone, on every market, with every seed.

    Attributes:
        columns: the file's columns, rows sorted by market, architecture and seed.
        about: what it was made with.
        architectures: N, in the order of every array of scores.
        worlds: the markets.
        seeds: S.
    """

    def __init__(self, columns: dict[str, npt.NDArray[Any]], about: dict[str, Any]) -> None:
        self.columns, self.about = columns, about
        self.worlds = tuple(sorted(set(columns["world"])))
        self.seeds = tuple(sorted({int(s) for s in columns["seed"]}))
        first = np.flatnonzero((columns["world"] == self.worlds[0]) & (columns["seed"] == self.seeds[0]))
        self.architectures = tuple(Architecture.from_json(columns["architecture"][i]) for i in first)
        self._ceilings: dict[tuple[str, str, str, float], Ceiling] = {}
        self._row = {a.digest: n for n, a in enumerate(self.architectures)}

    @classmethod
    def load(cls, path: str | Path = TABLE) -> Table:
        """Reads the Parquet file.

        Raises:
            ConfigError: rows are missing: not every architecture on every market with every seed.
        """
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        columns = {name: np.asarray(table[name].to_pylist()) for name in table.column_names}
        loaded = cls(columns, json.loads(table.schema.metadata[b"tradenas.truth"]))
        expected = len(loaded.architectures) * len(loaded.worlds) * len(loaded.seeds)
        if len(columns["world"]) != expected:
            raise ConfigError(str(path), got=f"{len(columns['world'])} rows", expected=f"{expected}")
        return loaded

    def __len__(self) -> int:
        return len(self.architectures)

    def index(self, architecture: Architecture | str) -> int:
        """The row of an architecture, or of its digest, in every array of scores."""
        return self._row[architecture if isinstance(architecture, str) else architecture.digest]

    def column(self, world: str, name: str) -> npt.NDArray[Any]:
        """A column of one market, shape (N, S)."""
        if world not in self.worlds:
            raise ConfigError("world", got=repr(world), expected=f"one of {', '.join(self.worlds)}")
        return self.columns[name][self.columns["world"] == world].reshape(len(self), len(self.seeds))

    def scores(self, world: str, metric: str, *, zone: str = "valid") -> npt.NDArray[np.float64]:
        """Scores (N, S), more being better: a loss has its sign changed."""
        return METRICS[metric] * self.column(world, f"{zone}_{metric}").astype(np.float64)

    def truth(self, world: str, metric: str, *, zone: str = "valid") -> npt.NDArray[np.float64]:
        """The mean over seeds, shape (N,)."""
        return self.scores(world, metric, zone=zone).mean(axis=1)

    def ceiling(self, world: str, metric: str, *, zone: str = "valid", best: float = 1.0) -> Ceiling:
        """Agreement of the trainings with each other.

        Args:
            best: over this share of the architectures only, those that are best by the mean that is compared with, as
                a proxy is judged.  Best by the mean of all seeds would let each seed speak on who is in, and push the
                tau among those who are below 0.
        """
        key = (world, metric, zone, best)
        if key not in self._ceilings:
            self._ceilings[key] = self._ceiling(*key)
        return self._ceilings[key]

    def _ceiling(self, world: str, metric: str, zone: str, best: float) -> Ceiling:
        scores_NS = self.scores(world, metric, zone=zone)
        taus = []
        for s in range(scores_NS.shape[1]):
            rest_N = np.delete(scores_NS, s, axis=1).mean(axis=1)
            among_N = rest_N >= np.quantile(rest_N, 1.0 - best)
            taus.append(kendall(scores_NS[among_N, s], rest_N[among_N], reps=2).tau)
        first_N, second_N = scores_NS[:, 0], scores_NS[:, 1]
        among_N = first_N >= np.quantile(first_N, 1.0 - best)
        pair = tau_ceiling(first_N[among_N], second_N[among_N], reps=200)
        return Ceiling(one_against_rest=float(np.mean(taus)), first_second=pair)

    @property
    def kind(self) -> str:
        """Of its space: `chain` or `cell`."""
        return str(self.about["space"]["kind"])

    @cached_property
    def parameters(self) -> npt.NDArray[Any]:
        """Parameters of each architecture, shape (N,)."""
        return self.column(self.worlds[0], "parameters")[:, 0]

    def world(self, name: str) -> setting.World:
        """The market itself, refused where its data are not those that the table was made with."""
        from truth.build import moments

        found = setting.world(name)
        if not np.allclose(moments(found), self.about["worlds"][name]["moments"], rtol=1e-3, atol=1e-4):
            expected = "the same candles and code"
            raise ConfigError(f"world {name!r}", got="other data than the table's", expected=expected)
        return found

    def task(self, name: str, *, seed: int, metric: str = "ic") -> Task:
        """What a search method gets: the same rows, the same scores, never the test rows."""
        from tradenas.train.store import cut

        found = self.world(name)
        data = cut(found.data, found.fold.valid.stop)
        evaluator = setting.evaluator(data, found.fold.train, found.fold.valid)
        scorer = Scorer(evaluator=evaluator, metric=metric, on_trial=lambda *_: None)
        return Task(space=setting.space(self.kind), data=data, train=found.fold.train, scorer=scorer, seed=seed)
