"""A study file: TOML sections that are the dataclasses they configure, checked all at once.

    name = "btc-1h"
    [data]
    source = "btc.parquet"
    [search]
    kind = "spos"

Only this module knows pydantic.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from tradenas.atomic import canonical_json
from tradenas.data import Extra, Repairs
from tradenas.data.extra import FUNDING, FUNDING_GROUP
from tradenas.errors import ConfigError
from tradenas.features import DEFAULT_INDICATORS, INDICATORS, TRANSFORMS, Target
from tradenas.registry import Registry, did_you_mean
from tradenas.search.base import METHODS, Method
from tradenas.search.methods import Sandwich
from tradenas.search.parts.causes import CauseBudget
from tradenas.search.parts.find import FINDERS
from tradenas.search.parts.standalone import Standalone
from tradenas.space import BLUEPRINTS, CROSS_ASSET, Architecture, Blueprint, Chain
from tradenas.study.full_size import enlarged, enlarged_space
from tradenas.study.regimes import RegimeConfig
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import METRICS
from tradenas.train.loop import Training
from tradenas.train.portfolio import Portfolio
from tradenas.trials.baselines import BASELINES
from tradenas.trials.split_jobs import PathBudget

__all__ = ["DataConfig", "FeatureConfig", "RunnerConfig", "StudyConfig", "TrialConfig", "ZoneConfig", "read_config"]


def _distinct(place: str, names: Sequence[str]) -> None:
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
            _distinct("data.symbols", self.symbols)

    @property
    def extra_columns(self) -> dict[str, str]:
        """Columns that come besides the indicators, and the group of each."""
        own = {FUNDING: FUNDING_GROUP} if self.funding else {}
        names = [*own, *(name for extra in self.extra for name in extra.columns)]
        _distinct("data.extra", names)
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
        _distinct("features.indicators", self.indicators)


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
        baselines: names from `tradenas.trials.baselines.BASELINES`.
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
        _distinct("trials.baselines", self.baselines)


@dataclass(frozen=True, kw_only=True)
class RunnerConfig:
    """Who does the trainings.

    Attributes:
        kind: `process` (supervised workers) or `inline` (this process).
        workers: processes; 0 takes one per core.
        threads: of each worker.  Part of what makes a result what it is: one thread and two differ in the last bits.
    """

    kind: Literal["process", "inline"] = "process"
    workers: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        for name, low in (("workers", 0), ("threads", 1)):
            if getattr(self, name) < low:
                raise ConfigError(f"runner.{name}", got=getattr(self, name), expected=f"{low} or more")


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """One study: everything that decides its numbers.

    Attributes:
        name: of the run folder.
        seed: all randomness hangs on it.
        rank_by: what the search ranks candidates by.  A supernet orders architectures by rank IC nearly as well as
            retraining does and by net Sharpe ratio hardly better than chance; by IC, chance candidates that suit the
            wildest rows come first more often (measured: docs/results.md).
        metric: what the champion, and the best baseline, are chosen by on the selection zone.
        rule: signals to positions.
        costs: of trading; the default is Bybit's taker fee and a basis point of slippage.
    """

    name: str = "study"
    seed: int = 0
    rank_by: str = "rank_ic"
    metric: str = "sharpe"
    data: DataConfig = field(default_factory=DataConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    target: Target = field(default_factory=lambda: Target(kind="forward_return"))
    zones: ZoneConfig = field(default_factory=ZoneConfig)
    space: Blueprint = field(default_factory=Chain)
    search: Method[Any] = field(default_factory=Sandwich)
    trials: TrialConfig = field(default_factory=TrialConfig)
    regimes: RegimeConfig = field(default_factory=RegimeConfig)
    portfolio: Portfolio = field(default_factory=Portfolio)
    rule: Rule = field(default_factory=Rule)
    costs: Costs = field(default_factory=Costs)
    runner: RunnerConfig = field(default_factory=RunnerConfig)

    def __post_init__(self) -> None:
        if not self.name or any(c in self.name for c in "/\\") or self.name.startswith("."):
            raise ConfigError("name", got=repr(self.name), expected="a folder name")
        for name in ("rank_by", "metric"):
            if getattr(self, name) not in METRICS:
                raise ConfigError(name, got=repr(getattr(self, name)), expected=f"one of {', '.join(METRICS)}")
        if self.metric == "loss":
            raise ConfigError(
                "metric",
                got="loss",
                expected="something that rules and baselines have too",
                fix="rank candidates by it with rank_by, and choose by sharpe, ic or profit_factor",
            )
        if self.target.kind == "volatility" and self.rule.kind != "volatility_target":
            raise ConfigError(
                "target.kind",
                got="volatility",
                expected="a forecast that can be traded",
                fix="a volatility has no direction: use it in the Python API, or target forward_return",
            )
        if self.target.kind == "volatility" and self.regimes.enabled:
            raise ConfigError(
                "regimes.enabled",
                got="true with target.kind volatility",
                expected="a target that is a return: regimes are cut by volatility, which is then no forecast in them",
                fix="target forward_return or direction, or do without regimes",
            )

        if self.data.symbols and (self.regimes.enabled or self.target.kind == "volatility"):
            raise ConfigError(
                "data.symbols",
                got=f"several markets with {'regimes' if self.regimes.enabled else 'target.kind volatility'}",
                expected="one market: regimes, and the mean of a volatility, are those of a single one",
                fix="set data.symbol, or do without",
            )
        mixing = [op for op in getattr(self.space, "ops", ()) if op in CROSS_ASSET]
        if mixing and not self.data.symbols:
            raise ConfigError(
                "space.ops",
                got=f"{', '.join(mixing)} in a study of one market",
                expected="several markets for ops that mix them",
                fix="name the markets in data.symbols, or take these ops out",
            )
        for name in self.space.blocks:
            TRANSFORMS[name]
        self.space.space(self.columns)  # names it does not know
        self._check_finalists()

    def _check_finalists(self) -> None:
        """No more finalists than there are networks; a dropout rate does not make another one of a candidate."""
        if self.trials.hold_best and isinstance(self.search, Standalone):
            raise ConfigError(
                "trials.hold_best",
                got=f"{self.trials.hold_best} with search.kind {self.search.kind}",  # type: ignore[attr-defined]
                expected="a search that ranks by something cheaper than training alone, whose coupling can be measured",
                fix="fix the number of finalists with trials.top_k",
            )
        space = self.full_space.space(self.columns)
        size = space.restrict({c.name: c.options[:1] for c in space.choices if c.name.endswith("/dropout")}).size()
        if self.trials.top_k > size:
            raise ConfigError(
                "trials.top_k",
                got=self.trials.top_k,
                expected=f"at most {size:,}, the number of different networks in the space",
                fix="lower it, or offer more",
            )

    @property
    def full_space(self) -> Blueprint:
        """Of the networks that are trained to be traded: the search's own, unless `trials` enlarges them."""
        return enlarged_space(self.space, cells=self.trials.cells, width=self.trials.width)

    def full_size(self, architecture: Architecture) -> Architecture:
        """What becomes of an architecture of the search in that space."""
        return enlarged(architecture, cells=self.trials.cells, width=self.trials.width)

    @property
    def columns(self) -> dict[str, str]:
        """Every feature of the study, and the group of each."""
        own = {name: INDICATORS[name].group for name in self.features.indicators}
        known = {**own, **self.data.extra_columns}
        for name in self.features.without:
            if name not in known:
                raise ConfigError(
                    "features.without", got=repr(name), expected="a column", fix=did_you_mean(name, list(known))
                )
        _distinct("features.indicators", [*own, *self.data.extra_columns])
        return {name: group for name, group in known.items() if name not in self.features.without}

    def to_dict(self) -> dict[str, Any]:
        """As plain values, every default written out."""
        return typing.cast("dict[str, Any]", _plain(asdict(self)))

    def to_toml(self) -> str:
        """The resolved study file."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())

    @property
    def digest(self) -> str:
        """Eight hex digits that change with anything that can change a number; who does the work is left out."""
        decisive = {k: v for k, v in self.to_dict().items() if k not in ("name", "runner")}
        decisive["threads"] = self.runner.threads
        if not self.regimes.enabled:
            del decisive["regimes"]
        unasked = [("data", "funding"), ("data", "extra"), ("features", "without"), ("trials", "cells")]
        for section, key in [*unasked, ("trials", "width")]:
            if not decisive[section][key]:  # what is not asked for changes no number
                del decisive[section][key]
        if not self.trials.paths.groups:
            del decisive["trials"]["paths"]
        if not self.data.symbols:
            del decisive["portfolio"], decisive["data"]["symbols"]
        if not self.space.column_ops:
            del decisive["space"]["column_ops"]
        return hashlib.sha256(canonical_json(decisive).encode()).hexdigest()[:8]


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (tuple, list)) else value


def read_config(source: str | Path | Mapping[str, Any], *, changes: Mapping[str, Any] | None = None) -> StudyConfig:
    """A study from a TOML file, TOML text parsed elsewhere, or a mapping; with changes as `--set key=value` makes.

    Raises:
        ConfigError: every fault of the file at once, each with its key, what was got and what would be right.

    >>> read_config({"search": {"kind": "spos", "num_ranked": 50}}, changes={"trials.top_k": 2}).trials.top_k
    2
    >>> read_config({"serach": {}})
    Traceback (most recent call last):
    tradenas.errors.ConfigError: study: 1 fault
      serach: no such key, did you mean 'search'?
    """
    where = "study"
    if isinstance(source, (str, Path)):
        where = str(source)
        try:
            plain = tomllib.loads(Path(source).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(where, got=error.strerror or str(error), expected="a study file") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(where, got=str(error), expected="TOML") from error
    else:
        plain = {k: dict(v) if isinstance(v, Mapping) else v for k, v in source.items()}
    for key, value in (changes or {}).items():
        _put(plain, key, value)
    faults: list[str] = []
    method = _of_kind(METHODS, plain, "search", Sandwich, faults)
    known: dict[str, type[Any]] = {"search": method, "space": _of_kind(BLUEPRINTS, plain, "space", Chain, faults)}
    search = plain.get("search")
    if "find" in getattr(method, "__dataclass_fields__", ()) and isinstance(search, dict):
        known["search.find"] = _of_kind(FINDERS, search, "find", type(method().find), faults, path="search.")
    _unknown(StudyConfig, plain, "", faults, known)
    built: dict[str, Any] = {}
    customary = asdict(StudyConfig(search=method(), space=known["space"]()))
    if finder := known.get("search.find"):
        customary["search"]["find"] = asdict(finder())
    for part in fields(StudyConfig):
        if part.name in plain:
            kind = known.get(part.name, typing.get_type_hints(StudyConfig)[part.name])
            value = _over(customary[part.name], plain[part.name])
            if part.name == "search" and finder and isinstance(value, dict):
                value["find"] = _validated(finder, value["find"], "search.find", faults)
            built[part.name] = _validated(kind, value, part.name, faults)
    if not faults:
        try:
            return StudyConfig(**built)
        except ConfigError as error:
            faults.append(str(error))
    count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
    raise ConfigError("\n  ".join([f"{where}: {count}", *faults]))


def _of_kind(
    registry: Registry[Any], plain: Mapping[str, Any], key: str, default: type[Any], faults: list[str], path: str = ""
) -> type[Any]:
    """The registered class that a section's `kind` names; the default one where it names none that is known."""
    section = plain.get(key)
    if not isinstance(section, dict) or "kind" not in section:
        return default
    try:
        return typing.cast("type[Any]", registry[str(section["kind"])])
    except ConfigError as error:
        faults.append(f"{path}{key}.kind: {error.fix}, got {section['kind']!r}")
        return default


def _over(customary: Any, given: Any) -> Any:
    """What was given over what is customary in this very place, section by section."""
    if not (isinstance(customary, dict) and isinstance(given, dict)):
        return given
    return {**customary, **{key: _over(customary.get(key), value) for key, value in given.items()}}


def _put(plain: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        inner = plain.get(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(key, got=f"{section} = {inner!r}", expected="a section")
        plain[section] = dict(inner)
        plain = plain[section]
    plain[last] = value


def _unknown(kind: Any, plain: Any, path: str, faults: list[str], known: Mapping[str, Any]) -> None:
    """Keys that no field has; pydantic would pass over them.

    Args:
        known: classes of the sections that have a `kind`, by their place.
    """
    inner = typing.get_args(kind)[:1]
    if isinstance(plain, list) and inner and is_dataclass(inner[0]):
        for number, item in enumerate(plain):
            _unknown(inner[0], item, f"{path}{number}.", faults, known)
    if not is_dataclass(kind) or not isinstance(plain, dict):
        return
    hints = typing.get_type_hints(kind)
    names = {f.name for f in fields(kind)}
    for key in list(plain):
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(names))}"
            faults.append(f"{path}{key}: no such key, {hint}")
            del plain[key]
        else:
            _unknown(known.get(f"{path}{key}", hints[key]), plain[key], f"{path}{key}.", faults, known)


def _validated(kind: Any, value: Any, place: str, faults: list[str]) -> Any:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        for fault in error.errors():
            at = ".".join([place, *(str(part) for part in fault["loc"])])
            cause = fault.get("ctx", {}).get("error")
            if isinstance(cause, ConfigError):
                faults.append(str(cause))
            else:
                faults.append(f"{at}: got {fault['input']!r}, {fault['msg']}")
    except ConfigError as error:
        faults.append(str(error))
    return None
