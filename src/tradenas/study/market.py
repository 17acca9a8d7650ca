"""First stage: candles through the gate, features, zones, and the two dataset files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tradenas.atomic import sha256_file, write_json
from tradenas.data import Candles, ReadReport, audit, market_names, open_source, resample, source_file
from tradenas.errors import CandleError, ConfigError, FolderError
from tradenas.events import Events
from tradenas.features import build_table
from tradenas.nn import Network
from tradenas.splits import Span, Zones, make_zones
from tradenas.study.config import DataConfig, StudyConfig
from tradenas.study.extras import Beside, load_beside, refuse_changed, told, wanted
from tradenas.study.folder import RunFolder
from tradenas.study.markets import about_markets
from tradenas.study.regimes import label_rows
from tradenas.study.searching import search_fold
from tradenas.train.build import build_dataset, build_panel
from tradenas.train.panel import Market, Panel
from tradenas.train.store import cut, save_dataset
from tradenas.typing import IntArray

__all__ = ["load_candles", "load_markets", "prepare"]

MINUTE_MS = 60_000
#: Rows that a market must have to learn from, besides two memories of the longest network.
LEAST_ROWS = 100


def load_candles(
    config: DataConfig, *, base: Path = Path(), symbol: str | None = None
) -> tuple[Candles, ReadReport | None]:
    """The candles of a study, resampled where it says so; the report of the reader where a file was read.

    Args:
        base: where relative paths start.
        symbol: which market, if not `config.symbol`.

    Raises:
        CandleError: the file is not fit to be used; the message names row and repair.
    """
    candles, report = open_source(
        config.source,
        symbol=config.symbol if symbol is None else symbol,
        repairs=config.repairs,
        bars=config.bars,
        seed=config.seed,
        base=base,
    )
    if config.resample:
        candles = resample(candles, config.resample * MINUTE_MS)
    return candles, report


def load_markets(config: DataConfig, *, base: Path = Path()) -> list[tuple[Candles, ReadReport | None]]:
    """The same for every market of a study: those of `symbols`, or the one."""
    if not config.symbols:
        return [load_candles(config, base=base)]
    names = market_names(config.source, base=base) if config.symbols == "all" else config.symbols
    return [load_candles(config, base=base, symbol=name) for name in names]


def prepare(folder: RunFolder, config: StudyConfig, events: Events, *, base: Path) -> None:
    """Writes `data.json` and the dataset files; nothing where they are there.

    Raises:
        CandleError: the candles are not fit for use.
        FolderError: the file of the candles is not what it was when this run began.
    """
    if folder.data.exists():
        about = folder.read(folder.data)
        refuse_changed(about.get("extra_files", {}), base=base, folder=folder.path)
        names = [m["symbol"] for m in about.get("markets", [])] or [config.data.symbol]
        now = _files_sha256(config.data, names, base)
        if now is not None and now != about["file_sha256"]:
            raise FolderError(
                str(folder.path),
                got=f"{config.data.source} with other content than this run began with",
                expected="the same candles",
                fix="give the study another name, or delete the run folder",
            )
        return
    with events.span("data"):
        markets = load_markets(config.data, base=base)
        candles = [own for own, _ in markets]
        seen = [_audited(config, own) for own in candles]
        beside = [load_beside(config.data, own, base=base) for own in candles]
        data, grid_T = assembled(config, candles, beside)
        zones = zones_of(config, data)
        regimes: dict[str, Any] = {}
        if isinstance(data, Panel):
            _check_learnable(data, search_fold(config, zones).train, longest_reach(config, data))
            facts = about_markets(config, data, seen, grid_T, zones)
        else:
            if config.regimes.enabled:
                fold, reach = search_fold(config, zones), longest_reach(config, data)
                data, model = label_rows(config.regimes, candles[0], data, zones, fold, reach=reach)
                regimes = {"regimes": model}
            facts = seen[0]
        save_dataset(cut(data, zones.selection.stop), folder.open_rows)
        save_dataset(data, folder.all_rows)
        repairs = [report.to_json().get("repairs", {}) if report else {} for _, report in markets]
        datasets = data.markets if isinstance(data, Panel) else (data,)
        about = {
            **facts,
            **told(config, list(zip(candles, beside, datasets, strict=True))),
            "source": config.data.source,
            "repairs": {name: sum(r.get(name, 0) for r in repairs) for name in {n: 0 for r in repairs for n in r}},
            "features": list(data.names),
            "transforms": list(data.transforms),
            "ready_rows": int(data.ready_T.sum()),
            "target": {"kind": config.target.kind, "horizon": config.target.horizon, "delay": config.target.delay},
            "zones": zones.describe(grid_T, candles[0].interval_ms),
            "reach": longest_reach(config, data),
        }
        names = [own.symbol for own in candles] if config.data.symbols else [config.data.symbol]
        write_json(folder.data, {**about, **regimes, "file_sha256": _files_sha256(config.data, names, base)})


def assembled(config: StudyConfig, candles: Sequence[Candles], beside: Sequence[Beside]) -> tuple[Market, IntArray]:
    """What models may look at, and when each row opens: a dataset, or a panel where `symbols` are asked for."""
    tables = [
        build_table(
            own,
            indicators=wanted(config, extra),
            transforms=config.space.blocks,
            window=config.features.window,
        )
        for own, extra in zip(candles, beside, strict=True)
    ]
    if not config.data.symbols:
        return build_dataset(candles[0], tables[0], config.target, funding=beside[0].funding), candles[0].open_time
    rates = [extra.funding for extra in beside]
    return build_panel(candles, tables, config.target, portfolio=config.portfolio, funding=rates)


def _audited(config: StudyConfig, candles: Candles) -> dict[str, Any]:
    seen = audit(candles, allow_gaps=config.data.repairs.allow_gaps)
    if not seen.ok:
        worst = next(f for f in seen.findings if f.level == "error")
        place = f"{config.data.source}, {candles.symbol}" if config.data.symbols else config.data.source
        raise CandleError(place, got=worst.text, expected="candles fit for use", fix="tradenas check")
    return seen.to_json()


def _files_sha256(config: DataConfig, symbols: Sequence[str], base: Path) -> str | None:
    """Of the file, or of the files' digests where there is one for each market; None where one is not there."""
    files = list(dict.fromkeys(source_file(config.source, symbol, base=base) for symbol in symbols))
    if any(file is None or not file.exists() for file in files):
        return None
    each = [sha256_file(file) for file in files if file is not None]
    return each[0] if len(each) == 1 else hashlib.sha256("".join(each).encode()).hexdigest()


def _check_learnable(data: Panel, train: Span, reach: int) -> None:
    """A market listed so late that nothing can be learnt of it has no place among those that are tuned and traded."""
    rows_A = data.learnable(reach)[:, train.slice].sum(axis=1)
    least = LEAST_ROWS + 2 * reach
    for symbol, rows in zip(data.symbols, rows_A, strict=True):
        if rows < least:
            raise ConfigError(
                f"data.symbols, {symbol}",
                got=f"{rows} rows to learn from before those that rank",
                expected=f"{least} or more",
                fix="leave the market out, or begin the study later",
            )


def zones_of(config: StudyConfig, data: Market) -> Zones:
    """Search, selection and vault, as far apart as the longest memory of the space asks for."""
    reach = longest_reach(config, data)
    embargo = config.zones.embargo or reach
    if embargo < reach:
        raise ConfigError("zones.embargo", got=embargo, expected=f"{reach} rows, the longest memory of the space")
    ready = int(data.ready_T.argmax()) if data.ready_T.any() else len(data)
    zones = make_zones(
        len(data), fractions=config.zones.fractions, purge=config.target.purge_rows, embargo=embargo, first_row=ready
    )
    zones.require(horizon=config.target.horizon, delay=config.target.delay, lookback=reach)
    return zones


def longest_reach(config: StudyConfig, data: Market) -> int:
    """Rows that the most far-sighted network reads, of those that are searched and of those that are traded."""
    spaces = [config.space] if config.full_space == config.space else [config.space, config.full_space]
    return max(Network(space.space(data.indicators), data.layout).reach() for space in spaces)
