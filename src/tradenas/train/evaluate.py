"""What a network's signals would have earned on rows it was not trained on: the scores that rank architectures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from tradenas.errors import ConfigError
from tradenas.features.regimes import REGIMES
from tradenas.nn import Mixture, Moments, Network, hard
from tradenas.registry import did_you_mean
from tradenas.space import Architecture
from tradenas.splits import Span
from tradenas.train.backtest import DAY_MS, Costs, Rule, relative_volatility, score, signal_scale
from tradenas.train.dataset import Dataset
from tradenas.train.fit import Fitted, mean_loss
from tradenas.train.loss import Objective
from tradenas.train.metrics import correlation, ranks, sign_accuracy
from tradenas.train.stream import measure, stream
from tradenas.typing import BoolArray, Float32Array, FloatArray

__all__ = ["METRICS", "Evaluator", "Scores", "by_regime", "merit"]

Scores = dict[str, float]

#: What candidates can be ranked by; +1 where more is better.
METRICS: dict[str, int] = {"sharpe": 1, "accuracy": 1, "profit_factor": 1, "ic": 1, "rank_ic": 1, "loss": -1}


def merit(scores: Scores, metric: str) -> float:
    """A number of which more is better; NaN and missing values come last.

    Args:
        metric: one of `METRICS`, of all rows, or of the rows of one regime: `ic/trending`.

    >>> merit({"loss": 0.69}, "loss"), merit({"ic": float("nan")}, "ic"), merit({"loss/calm": 0.5}, "loss/calm")
    (-0.69, -inf, -0.5)
    """
    of, slash, regime = metric.partition("/")
    if of not in METRICS:
        raise ConfigError("metric", got=repr(metric), expected="a metric", fix=did_you_mean(of, list(METRICS)))
    if slash and regime not in REGIMES:
        raise ConfigError(
            "metric", got=repr(metric), expected="a metric of a regime", fix=did_you_mean(regime, list(REGIMES))
        )
    value = scores.get(metric, math.nan)
    return METRICS[of] * value if math.isfinite(value) else -math.inf


def by_regime(scores: Scores) -> tuple[Scores, dict[str, Scores]]:
    """Scores of all rows, and apart from them those of each regime under their plain names.

    >>> by_regime({"ic": 0.1, "ic/calm": 0.2, "loss/calm": 0.7})
    ({'ic': 0.1}, {'calm': {'ic': 0.2, 'loss': 0.7}})
    """
    whole: Scores = {}
    parts: dict[str, Scores] = {}
    for name, value in scores.items():
        of, slash, regime = name.partition("/")
        (parts.setdefault(regime, {}) if slash else whole)[of] = value
    return whole, parts


class _Signals(NamedTuple):
    signal_T: FloatArray
    scale: float
    usable_T: BoolArray
    losses: Scores
    output_T: Float32Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluator:
    """Scores signals on a span: net of costs, with a band whose width comes from training rows.

    Biased upward once candidates have been chosen by it: that is what the selection zone and the vault are for.

    Where the data know regimes, the same signals are scored on the rows of each one too (`ic/trending`): traded there
    and flat elsewhere.

    Attributes:
        data: the market.
        train: rows the weights learnt from; the last `calibration` of them set each candidate's usual signal size
            and its batch-norm moments.
        valid: rows that are scored.
        rule: signals to positions.
        costs: of trading.
        calibration: training rows used as said.
    """

    data: Dataset
    train: Span
    valid: Span
    rule: Rule
    costs: Costs
    calibration: int = 4096
    device: torch.device | str = "cpu"
    _x_TF: torch.Tensor = field(init=False, repr=False)
    _first: int = field(init=False, repr=False)
    _objective: Objective = field(init=False, repr=False)
    _regimes: dict[str, BoolArray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.valid.start < self.train.stop:
            raise ConfigError(
                "Evaluator.valid", got=f"rows from {self.valid.start}", expected=f"rows from {self.train.stop} on"
            )
        object.__setattr__(self, "_objective", Objective.fitted(self.data, self.train))
        known = REGIMES if self.data.regime_T is not None else ()
        object.__setattr__(self, "_regimes", {name: self.data.in_regime(name) for name in known})

    @property
    def objective(self) -> Objective:
        """The units of signals, from the training labels."""
        return self._objective

    def _rows(self, reach: int) -> tuple[torch.Tensor, int]:
        """Feature rows from the first that is needed to the last, kept for the next candidate."""
        first = max(0, max(self.train.start, self.train.stop - self.calibration) - reach + 1)
        if not hasattr(self, "_first") or first < self._first:
            x_TF = torch.from_numpy(np.array(self.data.x_TF[first : self.valid.stop], np.float32)).to(self.device)
            object.__setattr__(self, "_x_TF", x_TF)
            object.__setattr__(self, "_first", first)
        return self._x_TF, self._first

    def score_paths(self, network: Network, architectures: Iterable[Architecture]) -> list[Scores]:
        """Each architecture as a path through the shared weights."""
        wanted = list(architectures)
        return self._scored(
            self._signals(network, hard(network.space, a), network.reach(a), "batch" in a.values()) for a in wanted
        )

    def score_fitted(self, fitted: Fitted, architecture: Architecture) -> Scores:
        """A standalone network."""
        batch_norm = "batch" in architecture.values()
        return self._scored([self._signals(fitted.network, {}, fitted.reach, batch_norm, moments=fitted.moments)])[0]

    def part_merits(
        self, network: Network, architectures: Iterable[Architecture], metric: str, *, parts: int
    ) -> FloatArray:
        """Merits of paths on each of `parts` consecutive parts of `valid`, (N, parts); NaN where there is none.

        How much a merit varies from part to part says how sure it is.  What is of days (Sharpe ratio, profit factor)
        needs two of them in a part, and starts flat in each.
        """
        edges = np.linspace(self.valid.start, self.valid.stop, parts + 1).round().astype(int).tolist()
        apart = [replace(self, valid=Span(low, high)) for low, high in pairwise(edges) if low < high]
        told = np.empty((0, parts))
        for architecture in architectures:
            reach = network.reach(architecture)
            found = self._signals(network, hard(network.space, architecture), reach, "batch" in architecture.values())
            row = [part._part_merit(found, metric, self.valid.start, reach) for part in apart]
            told = np.vstack([told, row + [math.nan] * (parts - len(row))])
        return told

    def _part_merit(self, found: _Signals, metric: str, first: int, reach: int) -> float:
        """Of signals whose first row is `first`, on the rows of `valid`."""
        own = slice(self.valid.start - first, self.valid.stop - first)
        signal_T, usable_T = found.signal_T[own], found.usable_T[own]
        return_T, realised_T = self.data.bar_return_T[self.valid.slice], self.data.realised_T[self.valid.slice]
        if not usable_T.any() or not np.isfinite(signal_T[usable_T]).all() or not math.isfinite(found.scale):
            return math.nan
        signal_1U, return_U = signal_T[None, usable_T], return_T[usable_T]
        if metric == "loss":
            value = mean_loss(self.objective, self.data, self.valid, found.output_T[own], reach)
        elif metric == "ic":
            value = correlation(signal_1U, return_U)[0]
        elif metric == "rank_ic":
            value = correlation(ranks(signal_1U), ranks(return_U[None])[0])[0]
        elif metric == "accuracy":
            value = sign_accuracy(signal_1U, self.outcome()[self.valid.slice][usable_T])[0]
        elif len(np.unique(realised_T[np.isfinite(return_T)] // DAY_MS)) < 2:
            value = math.nan
        else:
            value = self.trade(signal_T, found.scale, usable_T)[metric]
        worth = merit({metric: float(value)}, metric)
        return worth if math.isfinite(worth) else math.nan

    def signals(self, network: Network, architecture: Architecture) -> tuple[FloatArray, float, BoolArray]:
        """Signals of one path on `valid`, their usual size on training rows, and the rows that count."""
        found = self._signals(
            network, hard(network.space, architecture), network.reach(architecture), "batch" in architecture.values()
        )
        return found.signal_T, found.scale, found.usable_T

    def _signals(
        self, network: Network, mixture: Mixture, reach: int, batch_norm: bool, moments: Moments | None = None
    ) -> _Signals:
        calibration = Span(max(self.train.start, self.train.stop - self.calibration), self.train.stop)
        x_TF, first = self._rows(reach)

        def local(span: Span) -> Span:
            return Span(span.start - first, span.stop - first)

        if batch_norm and not moments:
            moments = measure(network, x_TF, mixture, local(calibration), reach=reach)
        both = Span(calibration.start, self.valid.stop)
        output_T = stream(network, x_TF, mixture, local(both), reach=reach, moments=moments)
        signal_T = self.objective.signal(output_T.astype(float), self.data, both)
        usable_T = self.data.usable(reach)
        size = len(calibration)
        later = self.valid.start - both.start
        return _Signals(
            signal_T[later:],
            float(signal_scale(signal_T[:size], usable_T[calibration.slice])[0]),
            usable_T[self.valid.slice],
            {
                name: mean_loss(self.objective, self.data, self.valid, output_T[later:], reach, rows_T)
                for name, rows_T in {"loss": None, **{f"loss/{r}": rows for r, rows in self._regimes.items()}}.items()
            },
            output_T[later:],
        )

    def _scored(self, found: Iterable[_Signals]) -> list[Scores]:
        """Scores in the order of the candidates, finite ones only: what cannot be a number is absent."""
        results: list[Scores] = []
        for part in found:
            finite = bool(np.isfinite(part.signal_T[part.usable_T]).all()) and math.isfinite(part.scale)
            scores = self.trade(part.signal_T, part.scale, part.usable_T) if finite and part.usable_T.any() else {}
            for regime, inside_T in self._regimes.items():
                own_T = part.usable_T & inside_T[self.valid.slice]
                own = self.trade(part.signal_T, part.scale, own_T) if finite and own_T.any() else {}
                scores |= {f"{name}/{regime}": own[name] for name in METRICS if name in own}
            results.append({k: v for k, v in {**scores, **part.losses}.items() if math.isfinite(v)})
        return results

    def trade(self, signal_T: FloatArray, scale: float, usable_T: BoolArray) -> Scores:
        """Scores of one signal on the rows of `valid`."""
        rows, data = self.valid.slice, self.data
        table = score(
            signal_T,
            bar_return_T=data.bar_return_T[rows],
            realised_T=data.realised_T[rows],
            usable_T=usable_T,
            rule=self.rule,
            scale=scale,
            costs=self.costs,
            days_per_year=data.days_per_year,
            outcome_T=self.outcome()[rows],
            volatility_T=self.volatility(),
            funding_T=None if data.funding_T is None else data.funding_T[rows],
        )
        return {name: float(values[0]) for name, values in table.items()}

    def outcome(self) -> FloatArray:
        """The realised label, centred on 0: what `accuracy` compares signs with."""
        y_T = self.data.y_T.astype(float)
        return 2.0 * y_T - 1.0 if self.data.kind == "binary" else y_T - self.objective.centre

    def volatility(self) -> FloatArray | None:
        """Relative volatility of the rows of `valid`, where the rule reads it."""
        if self.rule.kind != "volatility_target":
            return None
        return relative_volatility(self.data.past_return_T, train=self.train.slice)[self.valid.slice]
