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
from tradenas.space.switches import FEATURE, GROUP
from tradenas.splits import Span
from tradenas.train.backtest import DAY_MS, Costs, Rule
from tradenas.train.dataset import Dataset
from tradenas.train.fit import Fitted, mean_loss
from tradenas.train.loss import Objective
from tradenas.train.panel import Market, each, features_of
from tradenas.train.portfolio import AGREEMENT, agreement, trade, usual_size, volatility_of
from tradenas.train.segments import tensor_of
from tradenas.train.stream import Memo, measure, stream
from tradenas.typing import BoolArray, Float32Array, FloatArray

__all__ = ["METRICS", "Evaluator", "Scores", "Signals", "by_regime", "merit"]

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


class Signals(NamedTuple):
    """What somebody says of the rows of `Evaluator.valid`, from `hear` or `known`, to be scored.

    (T,), or (A, T) of a panel with a scale for each market: signals, their usual size on training rows, the rows that
    count; losses; and what the network put out.
    """

    signal: FloatArray
    scale: float | FloatArray
    usable: BoolArray
    losses: Scores
    output: Float32Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluator:
    """Scores signals on a span: net of costs, with a band whose width comes from training rows.

    Biased upward once candidates have been chosen by it: that is what the selection zone and the vault are for.

    Where the data know regimes, the same signals are scored on the rows of each one too (`ic/trending`): traded there
    and flat elsewhere.

    Attributes:
        data: the market, or the panel: a panel's scores are those of its portfolio, see `tradenas.train.portfolio`.
        train: rows the weights learnt from; the last `calibration` of them set each candidate's usual signal size
            and its batch-norm moments.
        valid: rows that are scored.
        rule: signals to positions.
        costs: of trading.
        calibration: training rows used as said.
    """

    data: Market
    train: Span
    valid: Span
    rule: Rule
    costs: Costs
    calibration: int = 4096
    device: torch.device | str = "cpu"
    _x: torch.Tensor = field(init=False, repr=False)
    _first: int = field(init=False, repr=False)
    _objective: Objective = field(init=False, repr=False)
    _regimes: dict[str, BoolArray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.valid.start < self.train.stop:
            raise ConfigError(
                "Evaluator.valid", got=f"rows from {self.valid.start}", expected=f"rows from {self.train.stop} on"
            )
        object.__setattr__(self, "_objective", Objective.fitted(self.data, self.train))
        data, regimes = self.data, {}
        if isinstance(data, Dataset) and data.regime_T is not None:
            regimes = {name: data.in_regime(name) for name in REGIMES}
        object.__setattr__(self, "_regimes", regimes)

    @property
    def objective(self) -> Objective:
        """The units of signals, from the training labels."""
        return self._objective

    def _rows(self, reach: int) -> tuple[torch.Tensor, int]:
        """Feature rows from the first that is needed to the last, kept for the next candidate."""
        first = max(0, max(self.train.start, self.train.stop - self.calibration) - reach + 1)
        if not hasattr(self, "_first") or first < self._first:
            x = tensor_of(features_of(self.data)[..., first : self.valid.stop, :], self.device)
            object.__setattr__(self, "_x", x)
            object.__setattr__(self, "_first", first)
        return self._x, self._first

    def score_paths(self, network: Network, architectures: Iterable[Architecture]) -> list[Scores]:
        """Each architecture as a path through the shared weights."""
        wanted = list(architectures)
        results: list[Scores] = [{}] * len(wanted)
        memo: Memo = {}
        last: tuple[str, ...] | None = None
        for i in sorted(range(len(wanted)), key=lambda i: _read(wanted[i])):
            a = wanted[i]
            if _read(a) != last:
                memo, last = {}, _read(a)
            found = self._signals(network, hard(network.space, a), network.reach(a), "batch" in a.values(), memo=memo)
            results[i] = self.scores_of(found)
        return results

    def score_mixture(self, network: Network, mixture: Mixture) -> Scores:
        """A supernet under any mixture."""
        return self.scores_of(self.hear(network, mixture, reach=network.reach()))

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
        told = np.empty((0, parts))
        for architecture in architectures:
            reach = network.reach(architecture)
            found = self._signals(network, hard(network.space, architecture), reach, "batch" in architecture.values())
            told = np.vstack([told, self.parts_of(found, metric, reach=reach, parts=parts)])
        return told

    def parts_of(self, found: Signals, metric: str, *, reach: int, parts: int) -> FloatArray:
        """Merits of signals on each of `parts` consecutive parts of `valid`, (parts,); see `part_merits`."""
        edges = np.linspace(self.valid.start, self.valid.stop, parts + 1).round().astype(int).tolist()
        apart = [replace(self, valid=Span(low, high)) for low, high in pairwise(edges) if low < high]
        row = [part._part_merit(found, metric, self.valid.start, reach) for part in apart]
        return np.array(row + [math.nan] * (parts - len(row)))

    def hear(self, network: Network, mixture: Mixture, *, reach: int) -> Signals:
        """What a network says under a mixture, be it one of weights for all options, which is no architecture."""
        return self._signals(network, mixture, reach, any("batch" in c.options for c in network.space.choices))

    def known(self, signal: FloatArray, scale: float | FloatArray, *, reach: int) -> Signals:
        """Signals on the rows of `valid` that somebody has given already, of the usual size `scale`."""
        output = self.objective.output(signal, self.data, self.valid).astype(np.float32)
        loss = {"loss": mean_loss(self.objective, self.data, self.valid, output, reach)}
        return Signals(signal, scale, self.data.usable(reach)[..., self.valid.slice], loss, output)

    def scores_of(self, found: Signals) -> Scores:
        """Scores of signals, finite ones only."""
        return self._scored([found])[0]

    def _part_merit(self, found: Signals, metric: str, first: int, reach: int) -> float:
        """Of signals whose first row is `first`, on the rows of `valid`."""
        own, rows = slice(self.valid.start - first, self.valid.stop - first), self.valid.slice
        signal, usable = found.signal[..., own], found.usable[..., own]
        if not usable.any() or not np.isfinite(signal[usable]).all() or not np.isfinite(found.scale).all():
            return math.nan
        if metric == "loss":
            value = mean_loss(self.objective, self.data, self.valid, found.output[..., own], reach)
        elif metric in AGREEMENT:
            value = agreement(metric, self.data, self.valid, signal, usable, self.outcome(self.valid))
        else:
            return_ = each(self.data, lambda m: m.bar_return_T[rows])
            realised = each(self.data, lambda m: m.realised_T[rows])
            if len(np.unique(realised[np.isfinite(return_)] // DAY_MS)) < 2:
                return math.nan
            value = self.trade(signal, found.scale, usable)[metric]
        worth = merit({metric: float(value)}, metric)
        return worth if math.isfinite(worth) else math.nan

    def signals(self, network: Network, architecture: Architecture) -> tuple[FloatArray, float | FloatArray, BoolArray]:
        """Signals of one path on `valid`, their usual size on training rows, and the rows that count."""
        found = self._signals(
            network, hard(network.space, architecture), network.reach(architecture), "batch" in architecture.values()
        )
        return found.signal, found.scale, found.usable

    def _signals(
        self,
        network: Network,
        mixture: Mixture,
        reach: int,
        batch_norm: bool,
        moments: Moments | None = None,
        memo: Memo | None = None,
    ) -> Signals:
        calibration = Span(max(self.train.start, self.train.stop - self.calibration), self.train.stop)
        x, first = self._rows(reach if memo is None else network.reach())

        def local(span: Span) -> Span:
            return Span(span.start - first, span.stop - first)

        if batch_norm and not moments:
            moments = measure(network, x, mixture, local(calibration), reach=reach)
        both = Span(calibration.start, self.valid.stop)
        history = reach if memo is None else network.reach()
        output = stream(network, x, mixture, local(both), reach=history, moments=moments, memo=memo)
        signal = self.objective.signal(output.astype(float), self.data, both)
        usable = self.data.usable(reach)
        size = len(calibration)
        later = self.valid.start - both.start
        return Signals(
            signal[..., later:],
            usual_size(signal[..., :size], usable[..., calibration.slice]),
            usable[..., self.valid.slice],
            {
                name: mean_loss(self.objective, self.data, self.valid, output[..., later:], reach, rows_T)
                for name, rows_T in {"loss": None, **{f"loss/{r}": rows for r, rows in self._regimes.items()}}.items()
            },
            output[..., later:],
        )

    def _scored(self, found: Iterable[Signals]) -> list[Scores]:
        """Scores in the order of the candidates, finite ones only: what cannot be a number is absent."""
        results: list[Scores] = []
        for part in found:
            finite = bool(np.isfinite(part.signal[part.usable]).all() and np.isfinite(part.scale).all())
            scores = self.trade(part.signal, part.scale, part.usable) if finite and part.usable.any() else {}
            for regime, inside_T in self._regimes.items():
                own_T = part.usable & inside_T[self.valid.slice]
                own = self.trade(part.signal, part.scale, own_T) if finite and own_T.any() else {}
                scores |= {f"{name}/{regime}": own[name] for name in METRICS if name in own}
            results.append({k: v for k, v in {**scores, **part.losses}.items() if math.isfinite(v)})
        return results

    def trade(self, signal: FloatArray, scale: float | FloatArray, usable: BoolArray) -> Scores:
        """Scores of one signal on the rows of `valid`."""
        return trade(
            self.data,
            self.valid,
            signal,
            usable=usable,
            scale=scale,
            rule=self.rule,
            costs=self.costs,
            outcome=self.outcome(self.valid),
            volatility=self.volatility(),
        ).scores

    def outcome(self, span: Span) -> FloatArray:
        """The realised label, centred on 0: what `accuracy` compares signs with; (rows,), or (A, rows) of a panel."""
        y: FloatArray = each(self.data, lambda m: m.y_T[span.slice].astype(float))
        return 2.0 * y - 1.0 if self.data.kind == "binary" else y - self.objective.centre

    def volatility(self) -> FloatArray | None:
        """Relative volatility of the rows of `valid`, where the rule reads it."""
        found = volatility_of(self.data, self.rule, train=self.train)
        return None if found is None else found[..., self.valid.slice]


def _read(architecture: Architecture) -> tuple[str, ...]:
    """What decides which columns the lookback filters are given, and how many of their taps."""
    return tuple(
        f"{name}={picked}"
        for name, picked in sorted(architecture.items())
        if name.startswith("input/") and not name.startswith((GROUP, FEATURE))
    )
