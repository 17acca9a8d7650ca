"""What the stages that train share: data, zones, and a way to run jobs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tradenas.cost import PriceList
from tradenas.errors import ConfigError, DivergedError
from tradenas.events import Events
from tradenas.space import Architecture, Blueprint
from tradenas.splits import Span, Zones
from tradenas.study.budget import price_list
from tradenas.study.config import StudyConfig
from tradenas.study.folder import RunFolder
from tradenas.study.strategies import Speaker, Traded, ensemble, trade
from tradenas.train.dataset import Dataset
from tradenas.train.panel import Market
from tradenas.train.store import load_dataset
from tradenas.trials.jobs import JobDone, JobSpec, add_input
from tradenas.trials.ledger import Ledger
from tradenas.trials.retrain import plain
from tradenas.trials.runner import InlineRunner, ProcessRunner, Runner
from tradenas.trials.stacks import Stack
from tradenas.typing import FloatArray

__all__ = ["Bench", "runner_of"]


def runner_of(config: StudyConfig) -> Runner:
    """Who does the jobs of a study."""
    if config.runner.kind == "inline":
        return InlineRunner(stack=config.runner.stack)
    return ProcessRunner(config.runner.workers or os.cpu_count() or 1, stack=config.runner.stack)


@dataclass(frozen=True, eq=False, kw_only=True)
class Bench:
    """What the retraining and judging stages share: the data, the zones, and a way to run jobs."""

    folder: RunFolder
    config: StudyConfig
    ledger: Ledger
    events: Events
    data: Market
    zones: Zones
    dataset_sha: str

    @classmethod
    def at(cls, folder: RunFolder, config: StudyConfig, ledger: Ledger, events: Events, dataset: Path) -> Bench:
        """Opens one of the two dataset files, and lays it where jobs find it."""
        zones = Zones.from_description(folder.read(folder.data)["zones"])
        sha = add_input(folder.path / "retrain" / "jobs", dataset)
        return cls(
            folder=folder,
            config=config,
            ledger=ledger,
            events=events,
            data=load_dataset(dataset),
            zones=zones,
            dataset_sha=sha,
        )

    @property
    def market(self) -> Dataset:
        """The data of a study of one market, which regimes are of.

        Raises:
            ConfigError: it has several.
        """
        if not isinstance(self.data, Dataset):
            raise ConfigError("regimes", got=f"{self.data.assets} markets", expected="one")
        return self.data

    @cached_property
    def prices(self) -> PriceList:
        """What the networks that are trained to be traded cost and may cost."""
        return price_list(self.config, self.data.layout, self.data.indicators, base=self.folder.base)

    @property
    def jobs_folder(self) -> Path:
        return self.folder.path / "retrain" / "jobs"

    def run(self, stage: str, specs: Sequence[JobSpec]) -> dict[str, JobDone]:
        """Runs jobs under a progress bar."""
        done = 0
        with self.events.span(stage, len({s.id for s in specs})):

            def tell(outcome: JobDone) -> None:
                nonlocal done
                done += 1
                self.events.progress.advance(stage, done, outcome.error or "")
                self.events.write("job", stage=stage, id=outcome.id, status=outcome.status, error=outcome.error)

            def begun(jobs: Stack) -> None:
                self.events.progress.advance(stage, done, f"{len(jobs)} networks together" if len(jobs) > 1 else "")
                self.events.write("working", stage=stage, ids=list(jobs))

            return runner_of(self.config).run(
                specs, ledger=self.ledger, folder=self.jobs_folder, on_done=tell, on_begin=begun
            )

    def network_job(
        self,
        architecture: Architecture,
        *,
        space: Blueprint,
        train: Span,
        signals: dict[str, Span],
        seed: int,
        regime: str | None = None,
    ) -> JobSpec:
        """The training of one network; of a specialist, whose own rows may weigh more.

        Args:
            space: that the architecture is of: the search's, or the study's `full_space`.
        """
        outside = self.config.regimes.outside
        rows = {} if regime is None or outside == 1.0 else {"regime": regime, "outside": outside}
        return JobSpec(
            kind="fit_network",
            params={
                "space": plain(space),
                "architecture": dict(architecture),
                "training": plain(self.config.trials.training),
                "train": [train.start, train.stop],
                **rows,
                "signals": {name: [span.start, span.stop] for name, span in signals.items()},
            },
            inputs={"dataset": self.dataset_sha},
            seed=seed,
            threads=self.config.runner.threads,
        )

    def together(
        self, outcomes: Sequence[JobDone], name: str, *, regime: str | None = None, span: Span | None = None
    ) -> list[Speaker]:
        """The trainings of one architecture: all as one first, then each alone; see `voices`."""
        ok = [o for o in outcomes if o.result is not None and o.folder is not None]
        if not ok:
            why = outcomes[0].error if outcomes else "no training"
            raise DivergedError(name, got=why, expected="at least one training that ends")
        signals = [np.load(o.folder / f"{name}.npy", allow_pickle=False) for o in ok if o.folder]
        known = [np.load(o.folder / "calibration.npy", allow_pickle=False) for o in ok if o.folder]
        return self.voices(signals, known, ok[0].result or {}, regime=regime, span=span)

    def voices(
        self,
        signals: Sequence[FloatArray],
        known: Sequence[FloatArray],
        about: Mapping[str, Any],
        *,
        regime: str | None = None,
        span: Span | None = None,
    ) -> list[Speaker]:
        """Several trainings as one voice first, then each alone.

        Args:
            signals: of each training on a zone.
            known: of each on the calibration rows.
            about: result of one of their jobs.
            regime: in which alone they speak, on the zone `span`.  The usual size of their signals is measured there
                too, on calibration rows of the regime, or on all of them where there is none.
        """
        reach, calibration = int(about["reach"]), Span(*about["calibration"])
        usable_C = self.data.usable(reach)[..., calibration.slice]
        rows_T = None
        if regime is not None and span is not None:
            inside_T = self.market.in_regime(regime)
            own_C = usable_C & inside_T[calibration.slice]
            usable_C = own_C if own_C.any() else usable_C
            rows_T = inside_T[span.slice]
        spoken = [
            ensemble(signals, known, usable_C, reach),
            *(ensemble([s], [k], usable_C, reach) for s, k in zip(signals, known, strict=True)),
        ]
        return spoken if rows_T is None else [replace(voice, rows_T=rows_T) for voice in spoken]

    def trade(self, span: Span, voice: Speaker) -> Traded:
        """Trades one voice by the rule and costs of the study."""
        return trade(self.data, span, voice, rule=self.config.rule, costs=self.config.costs, train=self.zones.search)
