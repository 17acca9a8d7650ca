"""First stage, beside the candles: funding and extra columns of one market, read, joined and accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tradenas.atomic import sha256_file
from tradenas.data import Candles, Series, read_extra, read_funding
from tradenas.data.extra import FUNDING_GROUP, funding_file
from tradenas.errors import CandleError, FolderError
from tradenas.features import Indicator, joined
from tradenas.study.config import DataConfig, StudyConfig
from tradenas.train.dataset import Dataset
from tradenas.train.fees import perpetual

__all__ = ["Beside", "load_beside", "refuse_changed", "told", "unpaid_funding", "wanted"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Beside:
    """What a study knows of one market besides its candles.

    Attributes:
        indicators: its columns, for `build_table`.
        funding: settled rates to be charged; None where the study has none.
        files: path as the study has it (or found from it) -> SHA-256.
        about: what was read, for `data.json`.
    """

    indicators: tuple[Indicator, ...] = ()
    funding: Series | None = None
    files: Mapping[str, str]
    about: tuple[Mapping[str, Any], ...] = ()


def load_beside(config: DataConfig, candles: Candles, *, base: Path = Path()) -> Beside:
    """Funding and extra columns of the market whose candles these are; nothing where the study asks for none.

    Args:
        config: the study's `[data]`.
        candles: of one market; its symbol says which rows of a file with several markets are read.
        base: where relative paths start.

    Raises:
        CandleError: a file is not what it must be, or says nothing about the time of these candles.
        FolderError: funding is not where it was said to be.
    """
    files: dict[str, str] = {}
    about: list[Mapping[str, Any]] = []
    indicators: list[Indicator] = []
    funding = None
    if config.funding:
        file = funding_file(config.funding, candles.symbol, base=base)
        funding = read_funding(config.funding, candles.symbol, base=base)
        made = joined([funding], group=FUNDING_GROUP)
        indicators += made
        path = _as_written(file, base)
        files[path] = sha256_file(file)
        about.append(_facts("funding", path, [funding], made, candles))
    for extra in config.extra:
        series = read_extra(extra, candles.symbol, base=base)
        made = joined(series, group=extra.group, age=extra.age)
        indicators += made
        path = extra.file(candles.symbol)
        files[path] = sha256_file(base / path)
        about.append(_facts(extra.kind, path, series, made, candles))
    return Beside(indicators=tuple(indicators), funding=funding, files=files, about=tuple(about))


def refuse_changed(files: Mapping[str, str], *, base: Path, folder: Path) -> None:
    """A run goes on with the files that it began with, or not at all; one that is gone is not needed any more.

    Raises:
        FolderError: a file has other content.
    """
    for path, before in files.items():
        if (base / path).exists() and sha256_file(base / path) != before:
            raise FolderError(
                str(folder),
                got=f"{path} with other content than this run began with",
                expected="the same file",
                fix="give the study another name, or delete the run folder",
            )


def unpaid_funding(config: StudyConfig, candles: Candles) -> bool:
    """Whether this looks like a perpetual whose funding nobody pays: its fees, a market that never closes, no rates."""
    made_up = config.data.source.partition(":")[0] in ("planted", "sample")
    return perpetual(config.costs) and candles.calendar == "24/7" and not config.data.funding and not made_up


def wanted(config: StudyConfig, beside: Beside) -> list[str | Indicator]:
    """The columns of a study, for `build_table`."""
    ours: list[str | Indicator] = [name for name in config.features.indicators if name in config.columns]
    return ours + [item for item in beside.indicators if item.name in config.columns]


def told(config: StudyConfig, markets: Sequence[tuple[Candles, Beside, Dataset]]) -> dict[str, Any]:
    """What `data.json` says of it, nothing where there is nothing; one line a file and market."""
    facts: dict[str, Any] = {}
    files = {path: digest for _, beside, _ in markets for path, digest in beside.files.items()}
    if files:
        named = [{"symbol": candles.symbol} if len(markets) > 1 else {} for candles, _, _ in markets]
        about = [{**one, **name} for (_, beside, _), name in zip(markets, named, strict=True) for one in beside.about]
        facts = {"extra": about, "extra_files": files}
    paid = [float(data.funding_T.sum()) for _, _, data in markets if data.funding_T is not None]
    if paid:
        facts["funding"] = {"charged": True, "sum": float(np.mean(paid))}
    elif unpaid_funding(config, markets[0][0]):
        facts["funding"] = {"charged": False}
    return facts


def _as_written(file: Path, base: Path) -> str:
    return file.relative_to(base).as_posix() if file.is_relative_to(base) else str(file)


def _facts(kind: str, path: str, series: list[Series], made: tuple[Indicator, ...], candles: Candles) -> dict[str, Any]:
    first = series[0]
    fresh_T = np.all([item.fresh(candles) for item in made if item.fresh is not None], axis=0)
    if not fresh_T.any():
        raise CandleError(
            path,
            got=f"{first!r}",
            expected=f"values at the time of {candles!r}",
            fix="is it the right file? Otherwise allow older values with max_age_minutes",
        )
    return {
        "kind": kind,
        "path": path,
        "columns": [item.name for item in made],
        "rows": len(first),
        "first": int(first.known_at_ms[0]),
        "last": int(first.known_at_ms[-1]),
        "usual_step_ms": first.usual_step_ms,
        "max_age_ms": first.max_age_ms,
        "fresh": float(fresh_T.mean()),
    }
