"""Reads a run folder for the report: what a study has not reached is `None`, what is damaged is a `FolderError`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from tradenas.atomic import read_json
from tradenas.errors import FolderError
from tradenas.report.daily import Daily, read_daily
from tradenas.report.decode import decode
from tradenas.report.schema import (
    AlphaRecord,
    BudgetRecord,
    Coupling,
    DataAudit,
    DevicesRecord,
    Environment,
    Finalists,
    FrontRecord,
    InputRecord,
    LatencyRecord,
    LedgerCounts,
    Paths,
    RegimeRecord,
    ResourceRecord,
    SearchRecord,
    Strategies,
    Strategy,
    Verdict,
    ZoneScores,
)
from tradenas.report.wording import percent
from tradenas.trials.ledger import Ledger

__all__ = ["RunRecord", "load_record"]

T = TypeVar("T")
#: The newest tradenas (major, minor) whose folders this reader knows; a folder of a newer one is refused.
READS = (0, 1)
HOLD_NAMES = frozenset({"hold", "buy and hold", "buy hold", "buyandhold", "buyhold", "long"})


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run folder, read and checked.

    Attributes:
        folder: where it lies.
        study: the resolved TOML text.
        environment, data: with what, and on what, it ran; always there.
        search, strategies, daily, coupling, verdict, ledger: stages; `None` until the study has reached them.
        finalists: with the strategies: how many candidates were retrained, and what that is worth.
        regimes: with the strategies; `None` too where the study has none.
        inputs, paths: what each option is worth; the champion over other periods; `None` too where not asked for.
        alphas: what the alphas learnt; `None` too where the search has none.
        budget, front: what networks may cost and do; `None` too where nothing is limited or weighed.
        devices: the best of each; `None` too where the search has none.
        latency: finalists timed on the device; `None` too where no latency is asked for.
        resources: of circuits that were exported.
    """

    folder: Path
    study: str
    environment: Environment
    data: DataAudit
    search: SearchRecord | None = None
    strategies: tuple[Strategy, ...] | None = None
    finalists: Finalists | None = None
    regimes: RegimeRecord | None = None
    inputs: InputRecord | None = None
    alphas: AlphaRecord | None = None
    budget: BudgetRecord | None = None
    front: FrontRecord | None = None
    devices: DevicesRecord | None = None
    latency: LatencyRecord | None = None
    resources: tuple[ResourceRecord, ...] = ()
    daily: Daily | None = None
    paths: Paths | None = None
    coupling: Coupling | None = None
    verdict: Verdict | None = None
    ledger: LedgerCounts | None = None

    def strategy(self, name: str | None) -> Strategy | None:
        """The strategy of this name, where it was retrained."""
        return next((s for s in self.strategies or () if s.name == name), None)

    @property
    def champion(self) -> Strategy | None:
        """Who faced the vault; before there is a verdict, the finalist that leads in the selection zone."""
        if self.verdict is not None:
            return self.strategy(self.verdict.champion.name) if self.verdict.champion is not None else None
        return self._leader("finalist", "routed")

    @property
    def best_baseline(self) -> Strategy | None:
        """The strongest baseline: the verdict's, else the leader of the selection zone."""
        if self.verdict is not None and self.verdict.best_baseline is not None:
            return self.strategy(self.verdict.best_baseline)
        return self._leader("baseline")

    @property
    def hold(self) -> Strategy | None:
        """Buy and hold, by any of its usual names."""
        return next((s for s in self.strategies or () if _plain(s.name) in HOLD_NAMES), None)

    @property
    def zone(self) -> str:
        """The zone whose figures lead: the vault once it was opened, else the selection zone."""
        return "vault" if any(s.vault is not None for s in self.strategies or ()) else "selection"

    @property
    def champion_scores(self) -> ZoneScores | None:
        """The champion in the leading zone."""
        return self.champion.zone(self.zone) if self.champion is not None else None

    @property
    def cost_free(self) -> bool:
        """True when the whole study traded for nothing."""
        return self.verdict is not None and self.verdict.costs is not None and self.verdict.costs.bps == 0.0

    @property
    def funding_words(self) -> str:
        """Whether funding was charged, and what the champion paid; empty where none is due."""
        funding = self.data.funding
        if funding is None:
            return ""
        paid = self.champion_scores.total_funding if self.champion_scores is not None else None
        if not funding.charged or paid is None:
            return "funding charged" if funding.charged else "funding NOT charged"
        return f"funding charged ({'paid' if paid >= 0 else 'received'} {percent(abs(paid), 2)} in the {self.zone})"

    @property
    def watermark(self) -> str | None:
        """Words that belong across the page, if any."""
        said = self.verdict.watermark if self.verdict is not None else None
        return said or ("COST-FREE: not tradable" if self.cost_free else None)

    def _leader(self, *kinds: str) -> Strategy | None:
        scored = [
            (s.selection.sharpe, s)
            for s in self.strategies or ()
            if s.kind in kinds and s.selection is not None and s.selection.sharpe is not None
        ]
        return max(scored, key=lambda pair: pair[0])[1] if scored else None


def load_record(folder: str | Path) -> RunRecord:
    """Reads the run folder of a study, however far it came.

    `study.toml`, `env.json` and `data.json` must be there; every other file is a stage that may not have been reached.
    Raises `FolderError` naming the file that is missing, damaged, or written by a newer tradenas.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FolderError(str(folder), got="no such folder", expected="a run folder", fix="see `ls runs`")
    environment = _need(folder / "env.json", Environment)
    _check_version(environment.tradenas, folder / "env.json")
    strategies = _maybe(folder / "retrain" / "strategies.json", Strategies)
    if strategies is not None:
        _check_names((s.name for s in strategies.strategies), folder / "retrain" / "strategies.json")
    daily = folder / "retrain" / "daily.parquet"
    return RunRecord(
        folder=folder,
        study=_read_study(folder / "study.toml"),
        environment=environment,
        data=_need(folder / "data.json", DataAudit),
        search=_maybe(folder / "search" / "candidates.json", SearchRecord),
        strategies=None if strategies is None else strategies.strategies,
        finalists=None if strategies is None else strategies.finalists,
        regimes=None if strategies is None else strategies.regimes,
        inputs=_maybe(folder / "search" / "inputs.json", InputRecord),
        alphas=_maybe(folder / "search" / "diagnostics.json", AlphaRecord),
        budget=_maybe(folder / "search" / "budget.json", BudgetRecord),
        front=_maybe(folder / "search" / "front.json", FrontRecord),
        devices=_maybe(folder / "search" / "devices.json", DevicesRecord),
        latency=_maybe(folder / "retrain" / "latency.json", LatencyRecord),
        resources=tuple(_resources(path, folder) for path in sorted((folder / "export").glob("**/resources.json"))),
        daily=read_daily(daily) if daily.exists() else None,
        paths=_maybe(folder / "retrain" / "paths.json", Paths),
        coupling=_maybe(folder / "coupling.json", Coupling),
        verdict=_maybe(folder / "verdict.json", Verdict),
        ledger=_read_ledger(folder / "ledger.db"),
    )


def _need(path: Path, cls: type[T]) -> T:
    if not path.exists():
        raise FolderError(
            str(path), got="no such file", expected="the file that every study writes first", fix="is this a run folder"
        )
    value: Any = read_json(path)
    return decode(cls, value, str(path))


def _maybe(path: Path, cls: type[T]) -> T | None:
    return _need(path, cls) if path.exists() else None


def _resources(path: Path, folder: Path) -> ResourceRecord:
    """What is known of a circuit, by how it is known: the words are keys of the file, `_` for a space."""
    plain: Any = read_json(path)
    if not isinstance(plain, dict):
        raise FolderError(str(path), got=type(plain).__name__, expected="an object", fix="export it again")
    words = {key.replace("_", " "): value for key, value in plain.items() if isinstance(value, dict) and "by" in value}
    told = {"place": str(path.parent.relative_to(folder)), "mode": plain.get("mode"), "cycles": plain.get("cycles")}
    return decode(ResourceRecord, {**told, "known": words}, str(path))


def _read_ledger(path: Path) -> LedgerCounts | None:
    if not path.exists():
        return None
    with Ledger(path) as ledger:
        return LedgerCounts(by_stage=MappingProxyType(ledger.count_by_stage()), looks=len(ledger.looks()))


def _read_study(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
    except FileNotFoundError:
        raise FolderError(str(path), got="no such file", expected="the resolved study") from None
    except (ValueError, OSError) as error:
        raise FolderError(str(path), got=f"damaged TOML ({error})", expected="the resolved study") from error
    return text


def _check_version(wrote: str, path: Path) -> None:
    found = re.match(r"(\d+)\.(\d+)", wrote)
    if found is None:
        raise FolderError(f"{path}: tradenas", got=wrote, expected="a version such as 0.1.0")
    if (int(found[1]), int(found[2])) > READS:
        raise FolderError(
            f"{path}: tradenas",
            got=f"a folder of {wrote}",
            expected=f"at most {READS[0]}.{READS[1]}, which this reader knows",
            fix="upgrade tradenas",
        )


def _check_names(names: Iterable[str], path: Path) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise FolderError(f"{path}: strategies", got=f"{name!r} twice", expected="one strategy a name")
        seen.add(name)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]+", " ", name.lower()).strip()
