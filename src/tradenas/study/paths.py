"""Would the champion have worked in other periods?  Its architecture, trained and judged over all of past and future.

Search and selection zone together are cut into groups; every choice of some of them is judged by a training on the
rest, purged and embargoed on both sides.  The judgements recombine into whole histories (paths), each with a Sharpe
ratio of its own: Lopez de Prado, Advances in Financial Machine Learning (2018), ch. 12.

Not a forecast of what it would have earned: trainings see rows after those they are judged on, and the architecture was
chosen on these very rows.  It says how much the result hangs on the period.  The vault takes no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tradenas.atomic import write_json
from tradenas.errors import DivergedError
from tradenas.events import Events
from tradenas.space import Architecture
from tradenas.splits import Span, Split, combinatorial, paths
from tradenas.stats import sharpe
from tradenas.study.bench import Bench
from tradenas.study.config import StudyConfig
from tradenas.study.folder import RunFolder
from tradenas.study.strategies import Speaker, best_of
from tradenas.trials.jobs import JobSpec, read_result
from tradenas.trials.ledger import Ledger, Trial
from tradenas.trials.retrain import plain
from tradenas.typing import FloatArray

__all__ = ["recombine", "recombined", "split_jobs"]

Daily = dict[int, float]


def recombine(folder: RunFolder, config: StudyConfig, ledger: Ledger, events: Events) -> None:
    """Writes `retrain/paths.json`; nothing where it is there, or where nothing is asked for."""
    budget = config.trials.paths
    if folder.paths.exists() or not budget.groups:
        return
    bench = Bench.at(folder, config, ledger, events, folder.open_rows)
    rows = folder.read(folder.strategies)["strategies"]
    name = best_of(rows, ("finalist",), config.metric)
    row = next(r for r in rows if r["name"] == name)
    architecture = Architecture.from_plain(row["architecture"])
    splits, specs = split_jobs(bench, architecture, epochs=_epochs(bench, row))
    outcomes = bench.run("paths", specs)
    judged: dict[tuple[int, int], Daily] = {}
    held: dict[int, Daily] = {}
    blocks = _blocks(splits)
    for s, spec in enumerate(specs):
        outcome = outcomes[spec.id]
        for span in splits[s].test:
            g = blocks.index(span)
            voice = bench.together([outcome], f"group-{g}")[0]
            judged[s, g] = _daily(bench, span, voice)
            if g not in held:
                held[g] = _daily(bench, span, _holding(voice))
    told = recombined(judged, held, budget.groups, budget.tested, bench.data.days_per_year)
    ledger.record_many(
        Trial(
            stage="paths",
            key=f"{architecture.digest}/{p}",
            digest=architecture.digest,
            params={"path": p},
            scores={"sharpe": value},
        )
        for p, value in enumerate(told["sharpe"])
    )
    write_json(folder.paths, {"strategy": name, "epochs": specs[0].params["training"]["epochs"], **told})


def split_jobs(bench: Bench, architecture: Architecture, *, epochs: int) -> tuple[list[Split], list[JobSpec]]:
    """Every choice of groups to be judged, and the training on the rest of each."""
    config, budget, zones = bench.config, bench.config.trials.paths, bench.zones
    zone = Span(zones.search.start, zones.selection.stop)
    splits = list(
        combinatorial(zone, groups=budget.groups, tested=budget.tested, purge=zones.purge, embargo=zones.embargo)
    )
    blocks = _blocks(splits)
    training = {**plain(config.trials.training), "epochs": epochs, "holdout": 0.0, "patience": 0}
    specs = [
        JobSpec(
            kind="fit_split",
            params={
                "space": plain(config.full_space),
                "architecture": dict(architecture),
                "training": training,
                "train": [[span.start, span.stop] for span in split.train],
                "signals": {f"group-{blocks.index(span)}": [span.start, span.stop] for span in split.test},
            },
            inputs={"dataset": bench.dataset_sha},
            seed=config.seed,
            threads=config.runner.threads,
        )
        for split in splits
    ]
    return splits, specs


def _blocks(splits: Sequence[Split]) -> list[Span]:
    return sorted({span for split in splits for span in split.test}, key=lambda s: s.start)


def recombined(
    judged: dict[tuple[int, int], Daily], held: dict[int, Daily], groups: int, tested: int, days_per_year: int
) -> dict[str, Any]:
    """The annual net Sharpe ratio of every path, and of holding over the same days.

    Args:
        judged: daily net P&L of (split, group).
        held: of holding in each group.
    """
    values = [
        sharpe(_joined([judged[int(s), g] for g, s in enumerate(path)]), days_per_year)
        for path in paths(groups, tested)
    ]
    below = float(np.mean(np.array(values) <= 0.0))
    return {
        "groups": groups,
        "tested": tested,
        "trainings": len({s for s, _ in judged}),
        "sharpe": values,
        "share_below_zero": below,
        "hold": sharpe(_joined([held[g] for g in range(groups)]), days_per_year),
    }


def _joined(parts: list[Daily]) -> FloatArray:
    """Consecutive groups as one series; a day that two of them share is summed."""
    days: Daily = {}
    for part in parts:
        for day, value in part.items():
            days[day] = days.get(day, 0.0) + value
    return np.array([days[day] for day in sorted(days)])


def _daily(bench: Bench, span: Span, voice: Speaker) -> Daily:
    result = bench.trade(span, voice).result
    return dict(zip(result.days_D.tolist(), result.net_DN[:, 0].tolist(), strict=True))


def _holding(voice: Speaker) -> Speaker:
    ones = np.ones_like(voice.signal_T)
    scale = np.ones_like(voice.scale) if isinstance(voice.scale, np.ndarray) else 1.0
    return Speaker(signal_T=ones, scale=scale, banded=False, reach=voice.reach)


def _epochs(bench: Bench, row: dict[str, Any]) -> int:
    """As many epochs as the champion's own trainings kept, in the mean: no rows can be held out here to stop by."""
    kept = [int(read_result(bench.jobs_folder / job, job)["best_epoch"]) + 1 for job in row["jobs"]]
    if not kept:
        raise DivergedError(str(row["name"]), got="no training", expected="one that ended")
    return max(1, round(float(np.mean(kept))))
