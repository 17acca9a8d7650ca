"""First stage: candles through the gate, features, zones, and the two dataset files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tradenas.atomic import sha256_file, write_json
from tradenas.data import Candles, ReadReport, audit, open_source, resample, source_file
from tradenas.errors import CandleError, ConfigError, FolderError
from tradenas.events import Events
from tradenas.features import build_table
from tradenas.nn import Network
from tradenas.splits import Zones, make_zones
from tradenas.study.config import DataConfig, StudyConfig
from tradenas.study.extras import load_beside, refuse_changed, told, wanted
from tradenas.study.folder import RunFolder
from tradenas.study.regimes import label_rows
from tradenas.study.searching import search_fold
from tradenas.train.build import build_dataset
from tradenas.train.dataset import Dataset
from tradenas.train.store import cut, save_dataset

__all__ = ["load_candles", "prepare"]

MINUTE_MS = 60_000


def load_candles(config: DataConfig, *, base: Path = Path()) -> tuple[Candles, ReadReport | None]:
    """The candles of a study, resampled where it says so; the report of the reader where a file was read.

    Args:
        base: where relative paths start.

    Raises:
        CandleError: the file is not fit to be used; the message names row and repair.
    """
    candles, report = open_source(
        config.source, symbol=config.symbol, repairs=config.repairs, bars=config.bars, seed=config.seed, base=base
    )
    if config.resample:
        candles = resample(candles, config.resample * MINUTE_MS)
    return candles, report


def prepare(folder: RunFolder, config: StudyConfig, events: Events, *, base: Path) -> None:
    """Writes `data.json` and the dataset files; nothing where they are there.

    Raises:
        CandleError: the candles are not fit for use.
        FolderError: the file of the candles is not what it was when this run began.
    """
    file = source_file(config.data.source, base=base)
    if folder.data.exists():
        began = folder.read(folder.data)
        refuse_changed(began.get("extra_files", {}), base=base, folder=folder.path)
        if file is not None and file.exists() and sha256_file(file) != began["file_sha256"]:
            raise FolderError(
                str(folder.path),
                got=f"{config.data.source} with other content than this run began with",
                expected="the same candles",
                fix="give the study another name, or delete the run folder",
            )
        return
    with events.span("data"):
        candles, report = load_candles(config.data, base=base)
        seen = audit(candles, allow_gaps=config.data.repairs.allow_gaps)
        if not seen.ok:
            worst = next(f for f in seen.findings if f.level == "error")
            raise CandleError(config.data.source, got=worst.text, expected="candles fit for use", fix="tradenas check")
        beside = load_beside(config.data, candles, base=base)
        table = build_table(
            candles,
            indicators=wanted(config, beside),
            transforms=config.space.blocks,
            window=config.features.window,
        )
        data = build_dataset(candles, table, config.target, funding=beside.funding)
        zones = zones_of(config, data)
        regimes: dict[str, Any] = {}
        if config.regimes.enabled:
            fold, reach = search_fold(config, zones), longest_reach(config, data)
            data, model = label_rows(config.regimes, candles, data, zones, fold, reach=reach)
            regimes = {"regimes": model}
        save_dataset(cut(data, zones.selection.stop), folder.open_rows)
        save_dataset(data, folder.all_rows)
        about = _about(config, candles, report, seen.to_json(), data, zones)
        about |= {**regimes, **told(config, [(candles, beside, data)])}
        write_json(folder.data, {**about, "file_sha256": None if file is None else sha256_file(file)})


def zones_of(config: StudyConfig, data: Dataset) -> Zones:
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


def longest_reach(config: StudyConfig, data: Dataset) -> int:
    """Rows that the most far-sighted network reads, of those that are searched and of those that are traded."""
    spaces = [config.space] if config.full_space == config.space else [config.space, config.full_space]
    return max(Network(space.space(data.indicators), data.layout).reach() for space in spaces)


def _about(
    config: StudyConfig,
    candles: Candles,
    report: ReadReport | None,
    seen: dict[str, Any],
    data: Dataset,
    zones: Zones,
) -> dict[str, Any]:
    repairs = report.to_json().get("repairs", {}) if report else {}
    return {
        **seen,
        "source": config.data.source,
        "repairs": repairs,
        "features": list(data.names),
        "transforms": list(data.transforms),
        "ready_rows": int(data.ready_T.sum()),
        "target": {"kind": config.target.kind, "horizon": config.target.horizon, "delay": config.target.delay},
        "zones": zones.describe(candles.open_time, candles.interval_ms),
        "reach": longest_reach(config, data),
    }
