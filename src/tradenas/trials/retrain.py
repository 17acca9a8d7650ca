"""Jobs that train one thing from scratch and let it speak: networks, baselines, and saved networks on new rows.

Each is a pure function of its specification: the dataset is an input named by its hash, the rest is JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tradenas.errors import DivergedError
from tradenas.nn import Network
from tradenas.space import BLUEPRINTS, Architecture, Blueprint
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.dataset import Dataset
from tradenas.train.fit import Fitted
from tradenas.train.loop import Training
from tradenas.train.loss import Objective
from tradenas.train.panel import Market
from tradenas.train.portfolio import volatility_of
from tradenas.train.stacked import Job as Lesson
from tradenas.train.stacked import fit_stacked, pays
from tradenas.train.store import load_dataset
from tradenas.trials.baselines import BASELINES, fit_forecast, scorer, tune
from tradenas.trials.jobs import JOBS, JobSpec, find_input
from tradenas.trials.stacks import TOGETHER, Together, alone
from tradenas.typing import FloatArray

__all__ = [
    "WEIGHTS", "Lesson", "Trained", "as_one_of", "fit_network", "network_of", "plain", "restored", "speak",
    "train_together", "tune_baseline", "write_signals",
]  # fmt: skip

WEIGHTS = "weights.safetensors"


def plain(settings: Any) -> dict[str, Any]:
    """A settings dataclass as JSON values; what is not asked for makes no other job of it."""
    values = asdict(settings)
    if isinstance(settings, Training) and not settings.bf16:
        del values["bf16"]
    return values


def _blueprint(settings: Mapping[str, Any]) -> Blueprint:
    options: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    return BLUEPRINTS[options["kind"]](**options)


def network_of(params: Mapping[str, Any], data: Market) -> tuple[Network, Architecture]:
    network = Network(_blueprint(params["space"]).space(data.indicators), data.layout)
    return network, Architecture.from_plain(params["architecture"])


def write_signals(fitted: Fitted, data: Market, rows: Mapping[str, Any], folder: Path) -> None:
    for name, (start, stop) in rows.items():
        np.save(folder / f"{name}.npy", fitted.signals(data, Span(start, stop)), allow_pickle=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class Trained:
    """A network that a job has trained, and the data that it speaks of."""

    fitted: Fitted
    data: Market
    template: Network
    architecture: Architecture


def train_together(
    specs: Sequence[JobSpec], folder: Path, lesson: Callable[[JobSpec, Market], Lesson]
) -> list[Trained | DivergedError]:
    """Trains the networks of several jobs of one architecture, or says of each why it could not.

    Args:
        folder: of one of the jobs.
        lesson: what a job learns from.
    """
    params = specs[0].params
    data = load_dataset(find_input(specs[0], "dataset", folder))
    template, architecture = network_of(params, data)
    lessons = [lesson(spec, data) for spec in specs]
    outcomes = fit_stacked(template, architecture, lessons, training=Training(**params["training"]))
    return [
        one
        if isinstance(one, DivergedError)
        else Trained(fitted=one, data=data, template=template, architecture=architecture)
        for one in outcomes
    ]


def as_one_of(params: Mapping[str, Any], *names: str) -> dict[str, Any] | None:
    """What jobs of one stack have in common: these params; None for a network that had better be alone."""
    training = params["training"]
    together = pays(params["architecture"], batch=training["batch"]) and not training.get("bf16")
    return {name: params.get(name) for name in names} if together else None


def train_networks(specs: Sequence[JobSpec], folder: Path) -> list[Trained | DivergedError]:
    """The trainings of `fit_network` jobs that are alike."""
    weights: dict[int, FloatArray] = {}

    def lesson(spec: JobSpec, data: Market) -> Lesson:
        if "regime" in spec.params and isinstance(data, Dataset) and not weights:
            weights[0] = np.where(data.in_regime(spec.params["regime"]), 1.0, spec.params["outside"])
        return Lesson(data=data, train=Span(*spec.params["train"]), seed=spec.seed, weight_T=weights.get(0))

    return train_together(specs, folder, lesson)


def tell_network(spec: JobSpec, trained: Trained, folder: Path) -> dict[str, Any]:
    """Writes the weights and signals of a `fit_network` job."""
    from safetensors.torch import save_file

    fitted = trained.fitted
    tensors = {f"weight/{k}": v.contiguous() for k, v in fitted.network.state_dict().items()}
    for name, (mean, variance) in fitted.moments.items():
        tensors |= {f"mean/{name}": mean.contiguous(), f"variance/{name}": variance.contiguous()}
    save_file(tensors, folder / WEIGHTS)
    calibration = (fitted.calibration.start, fitted.calibration.stop)
    write_signals(fitted, trained.data, {**spec.params["signals"], "calibration": calibration}, folder)
    count = trained.template.count(trained.architecture)
    return {
        "history": [dict(log) for log in fitted.history],
        "best_epoch": fitted.best_epoch,
        "objective": asdict(fitted.objective),
        "reach": fitted.reach,
        "calibration": list(calibration),
        "parameters": count.parameters,
        "macs": count.macs,
    }


@JOBS.register("fit_network")
def fit_network(spec: JobSpec, folder: Path) -> dict[str, Any]:
    """Trains one architecture; writes its weights, and its signals on the rows asked for.

    Params: `space`, `architecture`, `training`, `train`, `signals` (name -> rows); `regime` and `outside` where rows
    outside a regime weigh less.  The signals on the calibration rows are written too, so that trainings that speak
    together can be measured together.
    """
    return alone(TOGETHER["fit_network"], spec, folder)


TOGETHER.register("fit_network")(
    Together(
        alike=lambda spec: as_one_of(spec.params, "space", "architecture", "training", "regime", "outside"),
        amount=lambda spec: int(spec.params["train"][1] - spec.params["train"][0]),
        work=train_networks,
        tell=tell_network,
    )
)


def restored(params: Mapping[str, Any], data: Market, weights: Path, objective: Mapping[str, Any]) -> Fitted:
    """A network as a `fit_network` job left it.

    Args:
        params: of the job: `space` and `architecture`.
        data: of the market; only its columns matter.
        weights: the job's file.
        objective: of the job's result.
    """
    from safetensors.torch import load_file

    template, architecture = network_of(params, data)
    tensors = load_file(weights)
    network = template.standalone(architecture, seed=0)
    network.load_state_dict({k.removeprefix("weight/"): v for k, v in tensors.items() if k.startswith("weight/")})
    names = [k.removeprefix("mean/") for k in tensors if k.startswith("mean/")]
    return Fitted(
        network=network.eval(),
        moments={name: (tensors[f"mean/{name}"], tensors[f"variance/{name}"]) for name in names},
        objective=Objective(**objective),
        reach=network.reach(architecture),
        history=(),
        best_epoch=0,
        calibration=Span(0, 1),
    )


@JOBS.register("speak")
def speak(spec: JobSpec, folder: Path) -> dict[str, Any]:
    """Signals of a saved network on rows of another dataset file of the same market.

    Params: `space`, `architecture`, `objective`, `signals`.  Inputs: `dataset`, `weights`.
    """
    params = spec.params
    data = load_dataset(find_input(spec, "dataset", folder))
    fitted = restored(params, data, find_input(spec, "weights", folder), params["objective"])
    write_signals(fitted, data, params["signals"], folder)
    return {"reach": fitted.reach}


@JOBS.register("tune_baseline")
def tune_baseline(spec: JobSpec, folder: Path) -> dict[str, Any]:
    """Tries a baseline's settings on one fold of the search zone; the result lists every trial.

    Params: `name`, `budget`, `train`, `valid`, `reach`, `metric`, `rule`, `costs`.
    """
    torch.set_num_threads(spec.threads)
    params, trials = spec.params, []
    data = load_dataset(find_input(spec, "dataset", folder))
    train, valid = Span(*params["train"]), Span(*params["valid"])
    rule, costs = Rule(**params["rule"]), Costs(**params["costs"])
    volatility_T = volatility_of(data, rule, train=train)
    judge = scorer(data, valid, rule=rule, costs=costs, reach=params["reach"], volatility_T=volatility_T)

    def finite(scores: Mapping[str, float]) -> dict[str, float]:
        return {k: float(v) for k, v in scores.items() if np.isfinite(v)}

    tuned = tune(
        BASELINES[params["name"]],
        data,
        train,
        valid,
        params["budget"],
        spec.seed,
        judge,
        reach=params["reach"],
        metric=params["metric"],
        on_trial=lambda p, s: trials.append({"params": dict(p), "scores": finite(s)}),
        on_failure=lambda p, e: trials.append({"params": dict(p), "error": str(e)}),
    )
    return {"params": dict(tuned.params), "tried": tuned.tried, "trials": trials}


@JOBS.register("fit_baseline")
def fit_baseline(spec: JobSpec, folder: Path) -> dict[str, Any]:
    """Fits a tuned baseline; writes its signals on the rows asked for.

    Params: `name`, `params`, `train`, `predict`, `reach`.
    """
    params = spec.params
    data = load_dataset(find_input(spec, "dataset", folder))
    forecast = fit_forecast(
        BASELINES[params["name"]],
        data,
        Span(*params["train"]),
        Span(*params["predict"]),
        params=params["params"],
        seed=spec.seed,
        reach=params["reach"],
    )
    np.save(folder / "signal.npy", forecast.signal_T, allow_pickle=False)
    scale = forecast.scale.tolist() if isinstance(forecast.scale, np.ndarray) else forecast.scale
    return {"scale": scale, "banded": forecast.banded}
