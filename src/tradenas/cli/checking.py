"""`tradenas check`: candles, a study's funding and extra columns, and a user's own feature, before anything is run."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tradenas.cli.actions import FAULT, Say
from tradenas.errors import ConfigError

if TYPE_CHECKING:
    from tradenas.data import Candles, ReadReport, Repairs

__all__ = ["check"]


class _Market(NamedTuple):
    candles: Candles
    reading: ReadReport | None
    repairs: Repairs
    beside: tuple[Mapping[str, Any], ...] = ()


def check(say: Say, source: str, symbol: str, features: str | None, repair: list[str]) -> int:
    """Audits candles, or all that a study reads of each of its markets; and a feature on them."""
    from tradenas.cli.tables import audit_table, beside_line
    from tradenas.data import audit, open_source

    repairs = _repairs(repair)
    if source.endswith(".toml"):
        markets = list(_of_study(Path(source), symbol, repairs if repair else None))
    else:
        markets = [_Market(*open_source(source, symbol=symbol, repairs=repairs), repairs)]
    told = []
    for market in markets:
        seen = audit(market.candles, allow_gaps=market.repairs.allow_gaps)
        say.out().print(audit_table(seen, market.reading))
        for one in market.beside:
            say.out().print(beside_line(one), highlight=False)
        facts = seen.to_json() | {"reading": market.reading.to_json() if market.reading else None}
        told.append(facts | ({"beside": market.beside} if market.beside else {}))
    if features is not None:
        rows = _tested(features, [market.candles for market in markets])
        say.out().print(
            f"{features}: no look-ahead found at any cut; its start is forgotten after {rows} rows (warmup)"
        )
        told = [facts | {"feature": {"name": features, "start_up_rows": rows}} for facts in told]
    fit = all(one["ok"] for one in told)
    say.result(told[0] if len(told) == 1 else {"ok": fit, "markets": told})
    return 0 if fit else FAULT


def _tested(features: str, markets: list[Candles]) -> int:
    """Refuses a feature that looks ahead or remembers its start for too long; the rows until it is forgotten."""
    from tradenas.features import Indicator, replay_or_raise, start_up_or_raise

    given, rows = _function(features), 0
    declared = given.warmup if isinstance(given, Indicator) else None
    bare = given.function if isinstance(given, Indicator) else given
    shortest = given.shortest if isinstance(given, Indicator) else 16
    for candles in markets:
        replay_or_raise(given, candles, place=features, shortest=shortest)
        found = start_up_or_raise(bare, candles, place=features, warmup=declared)
        rows = max(rows, found.rows or 0)
    return rows


def _repairs(repair: list[str]) -> Repairs:
    from tradenas.data import Repairs

    allowed: dict[str, Any] = {}
    for name in repair:
        key, _, number = name.partition("=")
        allowed[key] = int(number) if number.isdecimal() else True
    try:
        return Repairs(**allowed)
    except TypeError as error:
        known = ", ".join(Repairs.__dataclass_fields__)
        raise ConfigError("--repair", got=", ".join(repair), expected=f"any of {known}") from error


def _of_study(study: Path, symbol: str, repairs: Repairs | None) -> Iterator[_Market]:
    """The candles of a study file, and its funding and extra columns as each market reads them.

    Args:
        symbol: that market alone.
        repairs: in place of the study's own.
    """
    from dataclasses import replace

    from tradenas.features import bar_funding
    from tradenas.study.config import read_config
    from tradenas.study.extras import load_beside
    from tradenas.study.market import load_markets

    config = read_config(study)
    data = replace(config.data, repairs=repairs or config.data.repairs)
    data = replace(data, symbol=symbol, symbols=()) if symbol else data
    for candles, reading in load_markets(data, base=study.parent):
        beside = load_beside(data, candles, base=study.parent)
        if beside.funding is not None:
            bar_funding(candles, beside.funding, config.target.delay, allow_same_bar=config.target.same_bar)
        yield _Market(candles, reading, data.repairs, beside.about)


def _function(where: str) -> Callable[..., Any]:
    """FUNCTION of FILE.py:FUNCTION."""
    file, _, name = where.rpartition(":")
    spec = importlib.util.spec_from_file_location("user_features", file) if file.endswith(".py") else None
    if spec is None or spec.loader is None or not Path(file).exists():
        raise ConfigError("--features", got=where, expected="an existing FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError("--features", got=name, expected=f"a function of {file}")
    return function  # type: ignore[no-any-return]
