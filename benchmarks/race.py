"""Equal time: the default search, random search and Optuna's TPE with a pruner, on one core, from one space.

    python race.py --worlds distant volume --candles ../../shared/data/bybit_linear_8perps_5m_2025_2026.parquet
        --symbol BTCUSDT --resample 15 --seeds 3 --out race.jsonl
    python race_curves.py race.jsonl --svg race.svg

All three train with one recipe on the same rows, are chosen by IC on the same selection rows, and are judged on fresh
rows that nobody chose by.  `tradenas` is the default search of a study, then its five best, each trained by three
seeds.  The others get the CPU seconds that took, the last of them for two more seeds of their best, so that all speak
as the mean of three.  `random` trains uniform draws; `tpe` draws with TPESampler from the same conditional choices,
is told the loss on the held-out rows that also stop a training early, and MedianPruner ends what lags behind there.

These train with our own trainer.  `tpe_textbook` is the same TPE as somebody without tradenas would run it: the same
networks, rows, labels and recipe in plain PyTorch, a window of rows for each target (`speed/textbook.py`).  `quick` is
the default search cut short: one supernet, `QUICK` says how, and three finalists.

    python race.py --bars 20000 --epochs 12 --patience 3 --methods tradenas quick tpe --out textbook.jsonl
    python race.py --bars 20000 --epochs 12 --patience 3 --methods tpe_textbook --seconds 300 --out textbook.jsonl
    python race_curves.py textbook.jsonl --to tradenas quick tpe

One line a run in the output file: a point each time the best so far changed, at its CPU second.  Figures on fresh
rows cost no time on that clock.  What is in the file already is not run again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from speed.textbook import Textbook, fit_textbook, same
from worlds import BARS, SPACE, Arena, arena, candles_arena

from tradenas.errors import DivergedError
from tradenas.nn import Layout, Network
from tradenas.search.base import Method, Scorer, Task, run_search
from tradenas.search.methods import Sandwich
from tradenas.search.parts.evolution import sample_distinct
from tradenas.search.parts.proxies import best_first
from tradenas.space import Architecture
from tradenas.splits import Span
from tradenas.study.config import read_config
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import Evaluator
from tradenas.train.fit import Fitted, fit
from tradenas.train.loop import Optimisation, Training

TRAINING, SEEDS, TOP = Training(epochs=30), 3, 5
#: The default search cut short, chosen on seeds 7 and 8, which nothing is told of.
QUICK = Sandwich(supernets=1, training=Optimisation(epochs=20, batch=512, lr=1e-2))
#: Untrained networks that `zero_cost` ranks.
SCREENED = 500


@dataclass
class Course:
    """What was trained so far, and the best of it by CPU second; looking at fresh rows stops the clock."""

    arena: Arena
    seed: int
    training: Training = TRAINING
    trainer: Callable[..., Fitted | Textbook] = fit
    voices: dict[Architecture, list[Fitted | Textbook]] = field(default_factory=dict)
    merits: dict[Architecture, float] = field(default_factory=dict)
    points: list[dict[str, float]] = field(default_factory=list)
    took: dict[Architecture, float] = field(default_factory=dict)
    tried: int = 0

    def __post_init__(self) -> None:
        self.template = Network(
            SPACE.space(), Layout(groups=self.arena.data.groups, transforms=self.arena.data.transforms)
        )
        self._cpu, self._wall, self._best = time.process_time(), time.perf_counter(), ()
        self.chosen: Architecture | None = None
        self._heard: dict[tuple[int, Span], np.ndarray] = {}

    @property
    def seconds(self) -> float:
        return time.process_time() - self._cpu

    def train(
        self, architecture: Architecture, n: int = 0, on_epoch: Callable[[int, dict[str, float]], None] | None = None
    ) -> Fitted | Textbook:
        """The n-th training of an architecture; notes whether there is a new best."""
        data, search = self.arena.data, self.arena.search
        self.tried += 1
        began = self.seconds
        fitted = self.trainer(
            self.template, architecture, data, search, training=self.training, seed=self.seed + n, on_epoch=on_epoch
        )
        self.voices.setdefault(architecture, []).append(fitted)
        self.merits[architecture] = self.ic(architecture, self.arena.selection)
        self.took[architecture] = self.seconds - began
        self.note(self.best)
        return fitted

    def ic(self, architecture: Architecture, span: Span) -> float:
        return self.arena.ic(self.signal(architecture, span), span, self.voices[architecture][0].reach)

    def signal(self, architecture: Architecture, span: Span) -> np.ndarray:
        """The mean of what the trainings of an architecture say."""
        heard = []
        for fitted in self.voices[architecture]:
            key = (id(fitted), span)
            if key not in self._heard:
                self._heard[key] = fitted.signals(self.arena.data, span)
            heard.append(self._heard[key])
        return np.mean(heard, axis=0)

    @property
    def best(self) -> Architecture:
        return self.chosen or max(self.merits, key=lambda a: self.merits[a])

    def note(self, best: Architecture) -> None:
        if self._best == (best, len(self.voices[best])):
            return
        cpu, wall = time.process_time(), time.perf_counter()
        self._best, one, fresh = (best, len(self.voices[best])), self.arena, self.arena.fresh
        reach = self.voices[best][0].reach
        point = {"cpu": cpu - self._cpu, "wall": wall - self._wall, "tried": self.tried, "merit": self.merits[best]}
        point |= {"voices": len(self.voices[best]), "ic": self.ic(best, fresh)}
        if one.world is not None:
            point |= {"oracle": one.oracle(fresh, reach), "truth": one.truth(self.signal(best, fresh), fresh, reach)}
        self.points.append(point)
        self._cpu += time.process_time() - cpu
        self._wall += time.perf_counter() - wall

    def spent(self, budget_s: float) -> bool:
        """Whether one more architecture, and then the best one's further seeds, would not fit the budget any more."""
        return self.seconds * (1 + 1 / self.tried) + (SEEDS - 1) * self.took[self.best] > budget_s

    def finish(self) -> None:
        """The best is chosen now, and trained by further seeds."""
        self.chosen = self.best
        for n in range(1, SEEDS):
            self.train(self.chosen, n)


def task_of(a: Arena, seed: int) -> Task:
    evaluator = Evaluator(data=a.data, train=a.fold.train, valid=a.fold.valid, rule=Rule(), costs=Costs())
    metric = "loss" if a.data.centre_labels else read_config({}).rank_by  # rank IC is with returns, not with sizes
    scorer = Scorer(evaluator=evaluator, metric=metric, on_trial=lambda *_: None)
    return Task(space=SPACE.space(), data=a.data, train=a.fold.train, scorer=scorer, seed=seed)


def tradenas(course: Course, budget_s: float) -> dict[str, Any]:
    """The default search of a study."""
    return searched(course, read_config({}).search, TOP)


def quick(course: Course, budget_s: float) -> dict[str, Any]:
    """The same, cut short."""
    return searched(course, QUICK, 3)


def searched(course: Course, method: Method[Any], top: int) -> dict[str, Any]:
    """A one-shot search, and its best retrained; architectures that differ in dropout alone are one finalist."""
    with tempfile.TemporaryDirectory() as folder:
        candidates = run_search(method, task_of(course.arena, course.seed), Path(folder))
    searched_s = course.seconds
    sights: dict[tuple[Any, ...], Architecture] = {}
    for c in candidates:
        sight = tuple((k, v) for k, v in c.architecture.items() if not k.endswith("dropout"))
        sights.setdefault(sight, c.architecture)
    for n in range(SEEDS):
        for architecture in list(sights.values())[:top]:
            course.train(architecture, n)
    return {"search_cpu": searched_s, "kind": method.kind}


def trained_in_turn(course: Course, budget_s: float, architectures: Iterable[Architecture]) -> dict[str, Any]:
    failed = 0
    for architecture in architectures:
        try:
            course.train(architecture)
        except DivergedError:
            failed += 1
        if course.merits and course.spent(budget_s):
            break
    course.finish()
    return {"failed": failed}


def random(course: Course, budget_s: float) -> dict[str, Any]:
    drawn = sample_distinct(SPACE.space(), 5000, seed=course.seed, stream="equal time")
    return trained_in_turn(course, budget_s, drawn)


def zero_cost(course: Course, budget_s: float) -> dict[str, Any]:
    """The same, best first by what untrained networks give away; ranking them costs time like all else."""
    drawn = sample_distinct(SPACE.space(), SCREENED, seed=course.seed, stream="equal time")
    return trained_in_turn(
        course, budget_s, best_first(task_of(course.arena, course.seed), drawn, ["naswot", "grad_norm"])
    )


def tpe(course: Course, budget_s: float) -> dict[str, Any]:
    """An architecture proposed twice is trained once: its second trial is told what the first one gave."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=course.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=3),
    )
    space, known = SPACE.space(), {}
    again = pruned = failed = 0
    while True:
        trial = study.ask()
        architecture = space.walk(lambda c, trial=trial: trial.suggest_categorical(c.name, c.options))
        if architecture in known:
            again += 1
            told = known[architecture]
            study.tell(trial, told, state=None if told is not None else optuna.trial.TrialState.FAIL)
            continue

        def report(epoch: int, log: dict[str, float], trial: optuna.Trial = trial) -> None:
            trial.report(log["valid_loss"], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        known[architecture] = None
        try:
            fitted = course.train(architecture, on_epoch=report)
            known[architecture] = min(log["valid_loss"] for log in fitted.history)
            study.tell(trial, known[architecture])
        except optuna.TrialPruned:
            pruned += 1
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        except DivergedError:
            failed += 1
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        if course.merits and course.spent(budget_s):
            break
    course.finish()
    return {"again": again, "pruned": pruned, "failed": failed}


def tpe_textbook(course: Course, budget_s: float) -> dict[str, Any]:
    """The same TPE, its trainings written without tradenas."""
    course.trainer = fit_textbook
    return tpe(course, budget_s)


METHODS = {
    "tradenas": tradenas, "quick": quick, "random": random, "tpe": tpe, "tpe_textbook": tpe_textbook,
    "zero_cost": zero_cost,
}  # fmt: skip


def runs_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="*", default=["distant", "volume"])
    parser.add_argument("--candles", type=Path)
    parser.add_argument("--symbol", default="")
    parser.add_argument("--resample", type=int, default=0, help="minutes")
    parser.add_argument("--rows", type=int, default=0, help="first bars of the candles; default: all")
    parser.add_argument("--target", default="return", choices=["return", "volatility"], help="of candles")
    parser.add_argument("--bars", type=int, default=BARS, help="of a planted world before its fresh ones")
    parser.add_argument("--epochs", type=int, default=TRAINING.epochs, help="of each training of one network")
    parser.add_argument("--patience", type=int, default=TRAINING.patience)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", default=["tradenas", "random", "tpe"], choices=list(METHODS))
    parser.add_argument("--seconds", type=float, help="CPU seconds of all but tradenas; default: what tradenas took")
    parser.add_argument("--factor", type=float, default=1.0, help="times those seconds")
    parser.add_argument("--out", type=Path, default=Path("race.jsonl"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    training = replace(TRAINING, epochs=options.epochs, patience=options.patience)
    worlds = [*options.worlds, *(["candles"] if options.candles else [])]
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for world in worlds:
            name = world
            if world == "candles":
                name = options.symbol + f" {options.resample}m" * bool(options.resample)
                name += " volatility" * (options.target == "volatility")
            done = {(r["world"], r["seed"], r["method"], r["factor"]): r for r in runs_of(options.out)}
            a: Arena | None = None
            for method in options.methods:
                own = method in ("tradenas", "quick")  # take what they take
                factor = 1.0 if own else options.factor
                if (name, seed, method, factor) in done:
                    continue
                budget_s = options.seconds or done.get((name, seed, "tradenas", 1.0), {}).get("cpu", 0.0)
                if not budget_s and not own:
                    parser.error("run tradenas first, or give --seconds")
                if world != "candles":
                    a = a or arena(world, seed, bars=options.bars)
                a = a or candles_arena(
                    options.candles, options.symbol, minutes=options.resample, rows=options.rows,
                    volatility=options.target == "volatility",
                )  # fmt: skip
                course = Course(a, seed, training)
                if method == "tpe_textbook":
                    assert same(course.template) < 1e-5, "the two ways are not the same networks"
                    course = Course(a, seed, training)  # its clock starts now
                told = METHODS[method](course, budget_s * factor)
                last = course.points[-1]
                run = {"world": name, "seed": seed, "method": method, "factor": factor, "budget": budget_s * factor}
                run |= {"cpu": course.seconds, "tried": course.tried, **told, "points": course.points}
                done[name, seed, method, factor] = run
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(run) + "\n")
                of = f" of oracle {last['oracle']:.3f}" if "oracle" in last else ""
                print(
                    f"{name:12} seed {seed} {method:12} {run['cpu']:5.0f} s  trained {run['tried']:3}  "
                    f"selection IC {last['merit']:.3f}  fresh IC {last['ic']:.3f}{of}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
