"""A study from candles to verdict: the stages of one file in one folder; killed anywhere, it goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradenas.atomic import exclusive
from tradenas.events import Events, Progress
from tradenas.study.budget import check_budget
from tradenas.study.config import StudyConfig, read_config
from tradenas.study.diagnosis import diagnose
from tradenas.study.folder import RunFolder
from tradenas.study.judging import judge_study
from tradenas.study.latency import time_finalists
from tradenas.study.marginal import measure_inputs
from tradenas.study.market import prepare
from tradenas.study.paths import recombine
from tradenas.study.result import StudyResult
from tradenas.study.retraining import retrain
from tradenas.study.searching import search
from tradenas.trials.ledger import Ledger

__all__ = ["Study"]


@dataclass(frozen=True, kw_only=True)
class Study:
    """Search, selection and judgement on one market.

    Attributes:
        config: everything that decides the numbers.
        base: folder where relative paths of the configuration start.

    Example:
        >>> import tempfile
        >>> study = Study.of({
        ...     "name": "tiny", "data": {"source": "planted:reversal", "bars": 3000},
        ...     "features": {"indicators": ["log_return_1"], "window": 20},
        ...     "space": {"depths": [1], "widths": [8], "ops": ["dense", "gated"], "lookbacks": [5]},
        ...     "search": {"num_ranked": 4, "training": {"epochs": 2}},
        ...     "trials": {"top_k": 1, "seeds": 1, "random": 1, "coupling": 0, "baselines": ["flat", "hold"],
        ...                "training": {"epochs": 2}},
        ...     "runner": {"kind": "inline"}})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     study.run(Path(folder)).verdict in ("EDGE", "NO EVIDENCE", "NO EDGE")
        True
    """

    config: StudyConfig
    base: Path = Path()

    @classmethod
    def of(cls, source: str | Path | Mapping[str, Any], *, changes: Mapping[str, Any] | None = None) -> Study:
        """From a TOML file or a mapping of the same shape."""
        base = Path(source).resolve().parent if isinstance(source, (str, Path)) else Path.cwd()
        return cls(config=read_config(source, changes=changes), base=base)

    def run(
        self,
        runs: Path | str = "runs",
        *,
        progress: Progress | None = None,
        command: str = "Study.run",
        open_vault_again: bool = False,
        allow_drift: bool = False,
    ) -> StudyResult:
        """Runs every stage that is not done yet.

        Args:
            runs: folder of run folders.
            progress: who watches.
            command: what is written down as the way to do this again.
            open_vault_again: judge once more; the second look is on record, and the report is watermarked.
            allow_drift: go on although versions, CPU or threads are not those that the run began with.

        Raises:
            TradenasError: whatever went wrong; what was done so far stays, and running again goes on from there.
        """
        folder = RunFolder.create(Path(runs), self.config, base=self.base, command=command)
        return run_in(
            folder, self.config, base=self.base, progress=progress, again=open_vault_again, allow_drift=allow_drift
        )

    @staticmethod
    def resume(
        path: Path | str,
        *,
        progress: Progress | None = None,
        open_vault_again: bool = False,
        allow_drift: bool = False,
    ) -> StudyResult:
        """Goes on with a run folder, by the configuration that lies in it; see `run`."""
        folder = RunFolder.existing(Path(path))
        return run_in(
            folder,
            folder.config(),
            base=folder.base,
            progress=progress,
            again=open_vault_again,
            allow_drift=allow_drift,
        )


def run_in(
    folder: RunFolder,
    config: StudyConfig,
    *,
    base: Path,
    progress: Progress | None,
    again: bool,
    allow_drift: bool,
) -> StudyResult:
    """The stages, in order."""
    with exclusive(folder.path), Ledger(folder.ledger) as ledger:
        events = Events(folder.path / "events.jsonl", progress)
        events.write("run", digest=config.digest)
        if again or not folder.verdict.exists():
            folder.refuse_drift(config, allow=allow_drift)
        prepare(folder, config, events, base=base)
        check_budget(folder, config, events, base=base)
        search(folder, config, ledger, events)
        measure_inputs(folder, config, ledger, events)
        retrain(folder, config, ledger, events)
        time_finalists(folder, config, events, base=base)
        diagnose(folder, config, ledger, events)
        recombine(folder, config, ledger, events)
        judge_study(folder, config, ledger, events, again=again)
    return StudyResult.load(folder.path)
