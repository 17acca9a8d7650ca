"""The sections of a study file that say which candles, columns, zones, trainings and workers; see `study.config`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tradenas.data import Extra, Repairs
from tradenas.data.extra import FUNDING, FUNDING_GROUP
from tradenas.errors import ConfigError
from tradenas.features import DEFAULT_INDICATORS, INDICATORS
from tradenas.search.parts.causes import CauseBudget
from tradenas.train.loop import Training
from tradenas.trials.baselines import BASELINES
from tradenas.trials.split_jobs import PathBudget

__all__ = ["DataConfig", "FeatureConfig", "RunnerConfig", "TrialConfig", "ZoneConfig", "distinct"]


def distinct(place: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise ConfigError(place, got=str(list(names)), expected="each name once")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which candles.

    Attributes:
        source: a file (CSV, Parquet, freqtrade feather; relative to the study file), `sample:NAME` for candles that a
            dependency ships, or `planted:KIND` for a made-up market with a known truth.
        symbol: which market of a source that holds several, where one is studied.
        symbols: which markets are studied together, as one portfolio: a list of names, or `all` that the source holds.
            The source is then a file with a symbol column, a name with `{symbol}` in it for a file a market, or
            `planted:lead_lag` or `planted:leader`.  Candles are laid onto the union of their times; see `[portfolio]`.
        resample: minutes of the candles to make out of the file's, e.g. 60; 0 takes them as they are.
        bars: number of candles of a planted market.
        seed: of a planted market.
        funding: settled rates of a perpetual: a file (a time and a rate; one a market where `{symbol}` is in its name),
            a folder that `tradenas fetch` stores into, or `bybit` for its usual one, `candles`.  They are charged to
            whoever holds a position when they are settled, and are a column, `funding_rate`, of the group `funding`.
            Empty charges nothing.
        repairs: what may be changed in the file; see `tradenas.data.Repairs`.
        extra: files of values with their own times.
    """

    source: str = "sample:sp500"
    symbol: str = ""
    symbols: tuple[str, ...] | Literal["all"] = ()
    resample: int = 0
    bars: int = 30_000
    seed: int = 0
    funding: str = ""
    repairs: Repairs = field(default_factory=Repairs)
    extra: tuple[Extra, ...] = ()

    def __post_init__(self) -> None:
        if self.symbols and self.symbol:
            raise ConfigError("data.symbol", got=f"{self.symbol!r} beside data.symbols", expected="one of the two")
        if self.symbols != "all":
            distinct("data.symbols", self.symbols)

    @property
    def extra_columns(self) -> dict[str, str]:
        """Columns that come besides the indicators, and the group of each."""
        own = {FUNDING: FUNDING_GROUP} if self.funding else {}
        names = [*own, *(name for extra in self.extra for name in extra.columns)]
        distinct("data.extra", names)
        return {**own, **{name: extra.group for extra in self.extra for name in extra.columns}}


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """Which columns.

    Attributes:
        indicators: names from `tradenas.features.INDICATORS`.  Columns of `data.funding` and `data.extra` come besides.
        without: columns to leave out after all, such as `funding_rate` where funding is to be paid but not looked at.
        window: trailing rows of the transforms.  Which transforms are on offer is the space's affair; the table holds a
            block of columns for each: indicators x transforms x 4 bytes a row.
    """

    indicators: tuple[str, ...] = tuple(str(name) for name in DEFAULT_INDICATORS)
    without: tuple[str, ...] = ()
    window: int = 100

    def __post_init__(self) -> None:
        for name in self.indicators:
            INDICATORS[name]
        distinct("features.indicators", self.indicators)


@dataclass(frozen=True, kw_only=True)
class ZoneConfig:
    """How time is cut.

    Attributes:
        fractions: shares of search, selection and vault.
        valid: share of the search zone that ranks candidates and stops trainings.
        embargo: rows between zones besides the purge; 0 takes the longest memory of the space.
    """

    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    valid: float = 0.25
    embargo: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.valid < 1.0:
            raise ConfigError("zones.valid", got=self.valid, expected="a share between 0 and 1")
        if self.embargo < 0:
            raise ConfigError("zones.embargo", got=self.embargo, expected="0 or more rows")


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """What is retrained from scratch, and beside what.

    Attributes:
        training: of every standalone network.
        top_k: candidates of the search that become finalists.
        hold_best: chance with which the finalists are to hold the true best of all candidates; 0 takes `top_k` of them,
            otherwise as many are taken as the measured coupling says it takes.
        top_k_max: most finalists that `hold_best` may ask for.
        seeds: trainings of each finalist; they speak as one by the mean of their signals.
        random: architectures drawn at random and trained like the finalists: did the search find more than chance?
        cells: cells in a row of every network that is trained for selection and vault, however few the search had (as
            DARTS searches with 8 and evaluates with 20); 0 trains what was searched.  The coupling still trains
            networks of the search's size, so it says nothing of what the difference in size does.
        width: channels of their nodes; 0 as they were searched.
        baselines: names from `tradenas.trials.baselines.BASELINES`.  `linear` and `lightgbm` read the current row of
            indicators, `linear_window`, `lightgbm_window`, `dlinear` and `gru` windows of them, and `linear_raw`,
            `lightgbm_raw`, `dlinear_raw` and `gru_raw` windows of raw candles (return, range, body and wicks of each).
        tuning_budget: settings tried for each baseline.
        coupling: candidates, spread over the ranking, trained alone on the supernet's own rows to measure whether
            its ranking tells the truth; 0 measures nothing.
        coupling_seeds: trainings of each of them.
        causes: what may be spent on why the ranking errs.
        marginal: architectures drawn at random, of each of which every change of one choice is scored with the shared
            weights, to say what each input and each option is worth.  It chooses nothing, and every score is counted as
            a trial: 24 of them are some 500, and with nine ops for each of 23 columns some 4,500.  0 measures nothing.
        paths: combinatorial purged cross-validation of the best finalist, before the vault is opened.
        reps: bootstrap resamples behind every interval and test.
    """

    training: Training = field(default_factory=lambda: Training(epochs=30))
    top_k: int = 5
    hold_best: float = 0.0
    top_k_max: int = 20
    seeds: int = 3
    random: int = 3
    cells: int = 0
    width: int = 0
    baselines: tuple[str, ...] = (
        "flat", "hold", "reversal", "momentum", "linear", "linear_window", "lightgbm", "lightgbm_window", "dlinear",
        "gru",
    )  # fmt: skip
    tuning_budget: int = 4
    coupling: int = 12
    coupling_seeds: int = 2
    causes: CauseBudget = field(default_factory=CauseBudget)
    marginal: int = 0
    paths: PathBudget = field(default_factory=PathBudget)
    reps: int = 1000

    def __post_init__(self) -> None:
        for name, low in (
            ("top_k", 1), ("top_k_max", 1), ("seeds", 1), ("random", 0), ("tuning_budget", 1), ("coupling", 0),
            ("coupling_seeds", 1), ("marginal", 0), ("reps", 100),
        ):  # fmt: skip
            if getattr(self, name) < low:
                raise ConfigError(f"trials.{name}", got=getattr(self, name), expected=f"{low} or more")
        for name, high in (("cells", 20), ("width", 1024)):
            if not 0 <= getattr(self, name) <= high:
                raise ConfigError(f"trials.{name}", got=getattr(self, name), expected=f"0 (as searched) to {high}")
        if not 0.0 <= self.hold_best < 1.0:
            raise ConfigError("trials.hold_best", got=self.hold_best, expected="a chance from 0 up to but not with 1")
        if self.hold_best and self.coupling < 3:
            raise ConfigError(
                "trials.hold_best",
                got=f"{self.hold_best} with trials.coupling = {self.coupling}",
                expected="a coupling of 3 or more, from which the chance is worked out",
                fix="measure the coupling, or fix the number of finalists with trials.top_k",
            )
        for name in self.baselines:
            BASELINES[name]
        distinct("trials.baselines", self.baselines)


@dataclass(frozen=True, kw_only=True)
class RunnerConfig:
    """Who does the trainings.

    Attributes:
        kind: `process` (supervised workers) or `inline` (this process).
        workers: processes; 0 takes one per core.
        threads: of each worker.  Part of what makes a result what it is: one thread and two differ in the last bits.
        stack: most networks of one shape that a worker trains together, which takes less of a core than one by one.  1
            trains each by itself, for a machine with more cores than networks.  Part of what makes a result what it is,
            as threads are.
    """

    kind: Literal["process", "inline"] = "process"
    workers: int = 0
    threads: int = 1
    stack: int = 8

    def __post_init__(self) -> None:
        for name, low in (("workers", 0), ("threads", 1), ("stack", 1)):
            if getattr(self, name) < low:
                raise ConfigError(f"runner.{name}", got=getattr(self, name), expected=f"{low} or more")
