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
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from tradenas.atomic import canonical_json
from tradenas.errors import ConfigError
from tradenas.features import INDICATORS, TRANSFORMS, Target
from tradenas.registry import Registry, did_you_mean
from tradenas.search.base import METHODS, Method
from tradenas.search.methods import Sandwich
from tradenas.search.parts.find import FINDERS
from tradenas.search.parts.standalone import Standalone
from tradenas.space import BLUEPRINTS, CROSS_ASSET, Architecture, Blueprint, Chain
from tradenas.study.budget import BudgetConfig
from tradenas.study.full_size import enlarged, enlarged_space
from tradenas.study.regimes import RegimeConfig
from tradenas.study.settings import DataConfig, FeatureConfig, RunnerConfig, TrialConfig, ZoneConfig, distinct
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import METRICS
from tradenas.train.portfolio import Portfolio

__all__ = ["DataConfig", "FeatureConfig", "RunnerConfig", "StudyConfig", "TrialConfig", "ZoneConfig", "read_config"]


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
    budget: BudgetConfig = field(default_factory=BudgetConfig)
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
        if not self.data.symbols and self.portfolio != Portfolio():
            raise ConfigError(
                "portfolio", got="settings, and one market", expected="several markets to share capital between",
                fix="name them in data.symbols, or leave the section out",
            )  # fmt: skip
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
        distinct("features.indicators", [*own, *self.data.extra_columns])
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
        if self.runner.stack != RunnerConfig().stack:
            decisive["stack"] = self.runner.stack
        if not self.regimes.enabled:
            del decisive["regimes"]
        if self.budget == BudgetConfig():
            del decisive["budget"]
        unasked = [("data", "funding"), ("data", "extra"), ("features", "without"), ("trials", "cells")]
        for section, key in [*unasked, ("trials", "width")]:
            if not decisive[section][key]:  # what is not asked for changes no number
                del decisive[section][key]
        for section in ("search", "trials"):
            training = decisive[section].get("training", {})
            if not training.get("bf16", True):
                del training["bf16"]
        if not self.trials.paths.groups:
            del decisive["trials"]["paths"]
        if not self.data.symbols:
            del decisive["portfolio"], decisive["data"]["symbols"]
        if not getattr(getattr(self.search, "penalty", None), "cost", ""):
            decisive["search"].pop("penalty", None)
        if not getattr(self.search, "devices", ()):
            decisive["search"].pop("devices", None)
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
