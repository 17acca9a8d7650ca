"""What each verb does.  Standard output carries results, standard error the talk."""

from __future__ import annotations

import json as jsonlib
import shlex
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from tradenas.errors import ConfigError, MissingExtra, TradenasError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Say", "cite", "compare", "demo", "fetch", "guarded", "parse_changes", "report", "resume", "run", "watch",
]  # fmt: skip

FAULT, USAGE, NO_EDGE, INTERRUPTED = 1, 2, 3, 130


@dataclass(frozen=True)
class Say:
    """Where an action talks: people on a terminal, or one JSON object."""

    json: bool

    def out(self) -> Console:
        """Results for people."""
        from rich.console import Console

        return Console(quiet=self.json)

    def progress(self) -> Any:
        """Bars on standard error; plain lines where that is no terminal."""
        from tradenas.cli.progress import Bars
        from tradenas.events import NullProgress

        return NullProgress() if self.json else Bars()

    def result(self, facts: Mapping[str, Any]) -> None:
        """The JSON object."""
        if self.json:
            sys.stdout.write(jsonlib.dumps(facts, indent=2, default=str) + "\n")


def guarded(json: bool, action: Callable[[Say], int]) -> NoReturn:
    """Runs an action and turns its faults into a message and an exit code."""
    say = Say(json)
    try:
        code = action(say)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. Nothing is lost: `tradenas resume RUN` goes on from here.\n")
        code = INTERRUPTED
    except TradenasError as error:
        code = USAGE if isinstance(error, ConfigError) else FAULT
        _told(json, type(error).__name__, str(error), place=error.place, hint=error.fix, code=code)
    except ModuleNotFoundError as error:
        missing = MissingExtra.behind(error)
        if missing is None:
            raise
        code = FAULT
        _told(json, "MissingExtra", str(missing), place=missing.place, hint=missing.fix, code=code)
    except OSError as error:
        code = FAULT
        _told(json, type(error).__name__, str(error), place=str(error.filename or ""), hint=None, code=code)
    raise typer.Exit(code)


def _told(json: bool, kind: str, message: str, *, place: str, hint: str | None, code: int) -> None:
    """A fault, for people or as the one JSON object."""
    if json:
        facts = {"error": kind, "message": message, "where": place, "hint": hint, "code": code}
        sys.stdout.write(jsonlib.dumps(facts, indent=2) + "\n")
    else:
        sys.stderr.write(f"{kind}: {message}\n")


def parse_changes(changes: list[str]) -> dict[str, Any]:
    """`--set key=value` pairs; values are TOML, and plain words are text.

    >>> parse_changes(["trials.top_k=2", "name=fast", "space.widths=[8, 16]"])
    {'trials.top_k': 2, 'name': 'fast', 'space.widths': [8, 16]}
    """
    parsed: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise ConfigError("--set", got=change, expected="KEY=VALUE", fix="e.g. --set trials.top_k=3")
        try:
            parsed[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            parsed[key.strip()] = text
    return parsed


def fetch(
    say: Say,
    symbol: str,
    category: str,
    interval: str,
    start: str,
    end: str | None,
    out: Path,
    store: Path,
    *,
    testnet: bool,
    funding: bool | None,
) -> int:
    """Downloads into the store, then writes one file, and one of funding beside it."""
    from tradenas.atomic import write_bytes
    from tradenas.data.bybit import MAINNET, TESTNET, BybitClient, fetch_candles, fetch_funding, find_instrument
    from tradenas.data.sources import FUNDING_END

    with BybitClient(TESTNET if testnet else MAINNET) as client:
        got = fetch_candles(
            symbol,
            category=category,
            interval=interval,
            start=start,
            end=end,
            folder=store,
            client=client,
            progress=say.progress(),
        )
        got.write(out)
        rates = None
        if funding is None and category != "spot":
            funding = bool(find_instrument(client, category, symbol).funding_interval_minutes)
        if funding:
            stored = fetch_funding(symbol, category=category, start=start, end=end, folder=store, client=client)
            rates = out.with_name(f"{out.stem}{FUNDING_END}.parquet")
            write_bytes(rates, stored.read_bytes())
    say.out().print(
        f"{got.rows:,} candles of {symbol} ({category}, {interval}) in {out}: {got.requests} requests, "
        f"{got.reused} months were here already" + (f"; funding in {rates}" if rates else "")
    )
    say.result({"file": out, "rows": got.rows, "requests": got.requests, "reused": got.reused, "funding": rates})
    return 0


def run(say: Say, study: Path, changes: list[str], runs: Path) -> int:
    """Runs a study file."""
    from tradenas.study import Study

    command = _command("run", str(study), changes, runs)
    result = Study.of(study, changes=parse_changes(changes)).run(runs, progress=say.progress(), command=command)
    return _shown(say, result.folder)


def demo(say: Say, sample: str, changes: list[str], runs: Path) -> int:
    """Runs a study that ships with the package."""
    from tradenas.study import Study
    from tradenas.study.config import read_config

    name = f"{sample}.toml"
    studies = resources.files("tradenas.study") / "demos"
    known = sorted(p.name.removesuffix(".toml") for p in studies.iterdir() if p.name.endswith(".toml"))
    if sample not in known:
        raise ConfigError("--sample", got=sample, expected=f"one of {', '.join(known)}")
    plain = tomllib.loads((studies / name).read_text(encoding="utf-8"))
    config = read_config(plain, changes=parse_changes(changes))
    command = _command("demo", f"--sample {sample}", changes, runs)
    result = Study(config=config).run(runs, progress=say.progress(), command=command)
    return _shown(say, result.folder)


def resume(say: Say, folder: Path, *, again: bool, allow_drift: bool) -> int:
    """Goes on with a run."""
    from tradenas.study import Study

    result = Study.resume(folder, progress=say.progress(), open_vault_again=again, allow_drift=allow_drift)
    return _shown(say, result.folder)


def report(say: Say, folder: Path, *, png: bool | None) -> int:
    """Shows a run."""
    return _shown(say, folder, png=png)


def _shown(say: Say, folder: Path, *, png: bool | None = False) -> int:
    """The report on disk, the box on the terminal, and the code that says whether there is an edge."""
    from tradenas.report import VerdictBox, load_record, write_report

    page = write_report(folder, png=png)
    say.out().print(VerdictBox(load_record(folder), page=page))
    verdict = folder / "verdict.json"
    facts = jsonlib.loads(verdict.read_text(encoding="utf-8")) if verdict.exists() else {"verdict": None}
    say.result({"folder": folder, "report": page, **facts})
    return NO_EDGE if facts["verdict"] in ("NO EDGE", "NO EVIDENCE") else 0


def compare(say: Say, folders: list[Path]) -> int:
    """Shows runs beside each other."""
    from tradenas.cli.tables import comparison_table
    from tradenas.report.compare import compare_runs

    found = compare_runs(folders)
    say.out().print(comparison_table(found))
    for together in found.together:
        say.out().print(together.words, markup=False, highlight=False)
    say.result(found.to_json())
    return 0


def watch(say: Say, folder: Path, *, once: bool) -> int:
    """Shows how far a run is, until it has a verdict."""
    from tradenas.cli.watch import follow, glance

    seen = glance(folder)
    if say.json:
        say.result(seen.to_json())
    elif once:
        say.out().print(seen)
    else:
        follow(folder)
    return 0


def cite(say: Say, folder: Path) -> int:
    """Prints BibTeX."""
    from tradenas.study.citations import citations

    entries = citations(folder)
    say.out().print("\n\n".join(entries), markup=False, highlight=False, soft_wrap=True)
    say.result({"citations": entries})
    return 0


def _command(verb: str, what: str, changes: list[str], runs: Path) -> str:
    sets = "".join(f" --set {shlex.quote(change)}" for change in changes)
    return f"tradenas {verb} {what}{sets}" + ("" if str(runs) == "runs" else f" --runs {shlex.quote(str(runs))}")
