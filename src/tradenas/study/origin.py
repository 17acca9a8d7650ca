"""Where an export comes from, for its card: columns and their definitions, what the signal means, the run's verdict."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

import numpy as np

from tradenas.features import INDICATORS, TRANSFORMS
from tradenas.formats.card import Column, Origin, Signal
from tradenas.formats.program import Program
from tradenas.splits import Span
from tradenas.study.config import StudyConfig
from tradenas.study.strategies import ensemble
from tradenas.study.trained import TrainedStrategy, champion_of
from tradenas.train.dataset import Dataset
from tradenas.trials.jobs import read_result

__all__ = ["origin_of"]


def origin_of(trained: TrainedStrategy, chosen: Sequence[int], program: Program, *, words: str = "") -> Origin:
    """What the card says of a strategy.

    Args:
        chosen: which of its trainings speak.
        words: the architecture in a line; its choices where empty.
    """
    folder = trained.folder
    config, row = folder.config(), trained.row
    judged = folder.read(folder.verdict) if folder.verdict.exists() else None
    plain = dict(trained.architecture)
    return Origin(
        run=folder.path.name,
        study=config.digest,
        version=importlib.metadata.version("tradenas"),
        made_with=folder.read(folder.environment),
        strategy=row["name"],
        architecture=plain,
        digest=trained.architecture.digest,
        words=words or ", ".join(f"{name} {option}" for name, option in plain.items()),
        seeds=len(chosen),
        columns=_columns(trained, program, config.features.window),
        signal=_signal(trained, chosen, config),
        verdict=None if judged is None else judged["verdict"],
        why=() if judged is None else tuple(judged["why"]),
        champion=judged is not None and champion_of(folder) == row["name"],
        watermark=None if judged is None else judged.get("watermark"),
    )


def _columns(trained: TrainedStrategy, program: Program, window: int) -> tuple[Column, ...]:
    names, transforms = trained.data.names, trained.data.transforms
    columns = []
    for table in program.columns:
        transform, indicator = transforms[table // len(names)], names[table % len(names)]
        meaning = _first_line(INDICATORS[indicator].function) if indicator in INDICATORS else ""
        columns.append(
            Column(
                name=f"{transform}({indicator})",
                indicator=indicator,
                meaning=meaning,
                transform=transform,
                scale=_first_line(TRANSFORMS[transform]),
                window=window,
                table=table,
            )
        )
    return tuple(columns)


def _signal(trained: TrainedStrategy, chosen: Sequence[int], config: StudyConfig) -> Signal:
    objective, target = trained.fitted[chosen[0]].objective, config.target
    fill = f"the open {_bars(target.delay)} later" if target.delay else "the close of that row itself"
    end = f"the open {_bars(target.delay + target.horizon)} later" if target.delay else "a later close"
    if objective.kind == "binary":
        words = (
            f"A logit. Above 0 it expects {end} to lie above {fill}; 1 / (1 + exp(-output)) is the probability that "
            "it learnt to give."
        )
    elif objective.by_volatility:
        words = (
            f"A forecast return in units of the row's volatility: output x {objective.scale:.6g} x volatility is the "
            f"simple return from {fill} to {end}. Volatility is the root of the exponential average of squared log "
            "returns of single bars (`tradenas.train.build.usual_move`), known at the row."
        )
    else:
        words = (
            f"A forecast: output x {objective.scale:.6g} is the label ({target.kind}, {_bars(target.horizon)} from "
            f"{fill}) less its mean on training rows, {objective.centre:.6g}."
        )
    rule = config.rule
    words += (
        f" The study traded it by the rule `{rule.kind}`: positions change only where |signal| is above {rule.band:g} "
        "times its usual size."
    )
    if (regime := trained.row.get("regime")) is not None:
        words += f" It spoke only on rows whose regime is `{regime}`, and was flat on all others."
    return Signal(
        kind=objective.kind,
        words=words,
        scale=1.0 if objective.kind == "binary" else objective.scale,
        by_volatility=objective.by_volatility,
        usual=_usual(trained, chosen),
        bars=_interval(trained),
    )


def _usual(trained: TrainedStrategy, chosen: Sequence[int]) -> tuple[float, ...]:
    """Mean |signal| on calibration rows, as the backtest measures it; of each market of a panel."""
    jobs = trained.folder.path / "retrain" / "jobs"
    names = [trained.row["jobs"][k] for k in chosen]
    known = [np.load(jobs / job / "calibration.npy", allow_pickle=False) for job in names]
    about = read_result(jobs / names[0], names[0])
    span = Span(*about["calibration"])
    usable_C = trained.data.usable(int(about["reach"]))[..., span.slice]
    regime = trained.row.get("regime")
    if regime is not None and isinstance(trained.data, Dataset):
        own_C = usable_C & trained.data.in_regime(regime)[span.slice]
        usable_C = own_C if own_C.any() else usable_C
    scale = ensemble(known, known, usable_C, int(about["reach"])).scale
    return tuple(float(one) for one in np.atleast_1d(scale))


def _interval(trained: TrainedStrategy) -> str:
    told = trained.folder.read(trained.folder.data)
    minutes = told["interval_ms"] / 60_000
    unit, size = next((u, n) for u, n in (("d", 1440), ("h", 60), ("min", 1)) if minutes >= n or n == 1)
    return f"candles of {minutes / size:g} {unit} of {told['symbol'] or told['source']}"


def _bars(count: int) -> str:
    return f"{count} bar{'' if count == 1 else 's'}"


def _first_line(thing: object) -> str:
    """What a docstring begins with, without its full stop."""
    return (thing.__doc__ or "").strip().split("\n")[0].rstrip(".")
