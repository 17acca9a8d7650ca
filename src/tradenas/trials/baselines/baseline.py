"""What a baseline is, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from tradenas.errors import ConfigError
from tradenas.registry import Registry, did_you_mean
from tradenas.seeds import rng_for
from tradenas.splits import Span
from tradenas.train.dataset import Dataset
from tradenas.typing import FloatArray

__all__ = ["BASELINES", "Baseline", "Params", "Pooling", "distinct", "log_uniform", "settings", "window_up_to"]

Params = Mapping[str, str | int | float]


class Baseline(Protocol):
    """A strategy that anyone could have used instead of a searched network.

    Attributes:
        name: key in `BASELINES`.
        learned: whether it fits labels.
        reads: `rule` where it learns nothing; otherwise the current `row` of columns, a `window` of rows of them, or
            a window of `raw` candles.
        banded: False where a no-trade band would defeat its purpose (flat, hold): its signals are obeyed as they are.

    One that is a `Pooling` too can learn from several markets at once.
    """

    @property
    def name(self) -> str: ...

    @property
    def learned(self) -> bool: ...

    @property
    def reads(self) -> str: ...

    @property
    def banded(self) -> bool: ...

    def configurations(
        self, count: int, seed: int, *, reach: int = 64, transforms: tuple[str, ...] = ("raw",)
    ) -> tuple[Params, ...]:
        """At most `count` different settings to try, the customary one first; fewer where there are not as many.

        Args:
            count: the tuning budget.
            seed: of the draw.
            reach: rows a model may read; no window is longer.
            transforms: names of the Dataset's blocks, of which a windowed model reads one.
        """
        ...

    def fit_signal(
        self, data: Dataset, train: Span, predict: Span, *, params: Params, seed: int, reach: int
    ) -> FloatArray:
        """Signals of the rows of `predict`, learned from the usable rows of `train`; 0 on rows without enough history.

        A learned one speaks in the units of `tradenas.train.loss.Objective`, as searched networks do: a logit, or a
        forecast in units of the label.

        The signal of a row reads at most the last `reach` rows, its own included, and no label outside `train`.  The
        caller leaves a purge between `train` and `predict`, as labels look ahead.

        Raises:
            ConfigError: a setting is unknown or does not fit, or too few rows can be learned from.
            DivergedError: training left the finite numbers.
        """
        ...


@runtime_checkable
class Pooling(Protocol):
    """A baseline that can learn one model from the rows of several markets, as a searched network does."""

    def fit_signals(
        self, markets: Sequence[Dataset], train: Span, predict: Span, *, params: Params, seed: int, reach: int
    ) -> list[FloatArray]:
        """As `Baseline.fit_signal`, for each of the markets, by one model of them all.

        Columns are brought to the scale of each market's own training rows, and labels to its own volatility, before
        rows are put together; the rows it stops by are the latest of every market.
        """
        ...


BASELINES: Registry[Baseline] = Registry("baselines")


def settings(baseline: Baseline, params: Params, data: Dataset, reach: int) -> dict[str, str | int | float]:
    """`params` over the customary ones of a baseline.

    Raises:
        ConfigError: a name that the baseline does not know.
    """
    customary = baseline.configurations(1, 0, reach=reach, transforms=data.transforms)[0]
    for key in params:
        if key not in customary:
            raise ConfigError(
                f"baseline {baseline.name}",
                got=f"parameter {key!r}",
                expected="one of its own",
                fix=did_you_mean(key, list(customary)) if customary else "pass none",
            )
    return {**customary, **params}


def distinct(
    name: str, count: int, seed: int, first: Params, draw: Callable[[np.random.Generator], Params]
) -> tuple[Params, ...]:
    """`first` and then draws that differ from each other, `count` in all if there are as many.

    >>> distinct("x", 3, 0, {"a": 1}, lambda rng: {"a": int(rng.integers(2))})
    ({'a': 1}, {'a': 0})
    """
    if count < 1:
        raise ConfigError(f"baseline {name} count", got=count, expected="1 or more configurations")
    rng = rng_for(seed, "baselines", name)
    found = [dict(first)]
    for _ in range(50 * count):
        if len(found) == count:
            break
        candidate = dict(draw(rng))
        if candidate not in found:
            found.append(candidate)
    return tuple(found)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between `low` and `high`, every factor as likely, rounded to three digits so that it reads well."""
    return float(f"{np.exp(rng.uniform(np.log(low), np.log(high))):.3g}")


def window_up_to(rng: np.random.Generator, reach: int, *, low: int = 2) -> int:
    """A window length between `low` and `reach` rows, every factor as likely."""
    return min(reach, max(low, round(log_uniform(rng, min(low, reach), reach))))
