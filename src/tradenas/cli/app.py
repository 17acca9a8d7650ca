"""Verbs and options; what they do lies in `tradenas.cli.actions`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app", "main"]

CODES = """Exit codes: 0 done, or an edge was found; 1 a fault (data refused, disk, network, training); 2 wrong usage or
study file; 3 no edge found, or no evidence of one; 130 interrupted."""

app = typer.Typer(
    name="tradenas",
    help="Neural architecture search for trading time series.  From candles to a small network, or to the plain words "
    f"*no edge found*.\n\n{CODES}",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, e.g. --set search.training.epochs=20."),
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of run folders.")]
RunPath = Annotated[Path, typer.Argument(help="A run folder, e.g. runs/btc-1h-1a2b3c4d.")]


@app.command()
def fetch(
    symbol: Annotated[str, typer.Argument(help="Upper-case symbol, e.g. BTCUSDT.")],
    start: Annotated[str, typer.Option(help="First day, UTC, e.g. 2025-01-01.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    category: Annotated[str, typer.Option(help="spot, linear or inverse.")] = "linear",
    interval: Annotated[str, typer.Option(help="Minutes (1 3 5 15 30 60 120 240 360 720) or D.")] = "60",
    end: Annotated[str | None, typer.Option(help="Day after the last, UTC; now if not given.")] = None,
    store: Annotated[Path, typer.Option(help="Folder of the monthly files that a resume builds on.")] = Path("candles"),
    testnet: Annotated[bool, typer.Option(help="Ask the test network; never mixed with the real one.")] = False,
    funding: Annotated[
        bool | None, typer.Option(help="Settled funding rates too, in OUT-funding.parquet; if not said, of perpetuals.")
    ] = None,
    json: Json = False,
) -> None:
    """Download candles from Bybit V5; what was interrupted resumes."""
    from tradenas.cli import actions

    actions.guarded(
        json,
        lambda say: actions.fetch(
            say,
            symbol,
            category,
            interval,
            start,
            end,
            out,
            store,
            testnet=testnet,
            funding=funding,
        ),
    )


@app.command()
def check(
    source: Annotated[str, typer.Argument(help="A candle file, sample:NAME, or a study file (TOML) and all it reads.")],
    symbol: Annotated[str, typer.Option(help="Which market of a file that holds several.")] = "",
    features: Annotated[
        str | None,
        typer.Option(help="FILE.py:FUNCTION of a feature of yours: does it look ahead, and how long is its start-up?"),
    ] = None,
    repair: Annotated[
        list[str] | None, typer.Option("--repair", metavar="NAME[=N]", help="Allow a repair, e.g. fill_gaps_bars=60.")
    ] = None,
    json: Json = False,
) -> None:
    """Audit candles: coverage, gaps, odd values.  Exits with 1 where they are not fit for use."""
    from tradenas.cli import actions, checking

    actions.guarded(json, lambda say: checking.check(say, source, symbol, features, repair or []))


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="A study file (TOML).")],
    changes: Changes = None,
    runs: Runs = Path("runs"),
    json: Json = False,
) -> None:
    """Run a study from candles to verdict; one that was cut short goes on."""
    from tradenas.cli import actions

    actions.guarded(json, lambda say: actions.run(say, study, changes or [], runs))


@app.command()
def resume(
    folder: RunPath,
    again: Annotated[
        bool, typer.Option("--open-vault-again", help="Judge once more; all that follows carries a watermark.")
    ] = False,
    allow_drift: Annotated[
        bool, typer.Option("--allow-drift", help="Go on with other versions, CPU or threads; it is written down.")
    ] = False,
    json: Json = False,
) -> None:
    """Go on with a run folder."""
    from tradenas.cli import actions

    actions.guarded(json, lambda say: actions.resume(say, folder, again=again, allow_drift=allow_drift))


@app.command()
def report(
    folder: RunPath,
    png: Annotated[
        bool | None, typer.Option("--png/--no-png", help="Figures as PNG too; if not said, where resvg_py is there.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a run's report again, with its figures as files, and show its verdict."""
    from tradenas.cli import actions

    actions.guarded(json, lambda say: actions.report(say, folder, png=png))


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(help="Two or more run folders.")],
    json: Json = False,
) -> None:
    """Put runs beside each other: figures, settings that differ, and their champions in one test."""
    from tradenas.cli import actions

    actions.guarded(json, lambda say: actions.compare(say, folders))


@app.command()
def watch(
    folder: RunPath,
    once: Annotated[bool, typer.Option("--once", help="One look, instead of until the verdict is there.")] = False,
    json: Json = False,
) -> None:
    """Follow a run that another terminal, or another user, has started."""
    from tradenas.cli import actions

    actions.guarded(json, lambda say: actions.watch(say, folder, once=once))


@app.command()
def demo(
    sample: Annotated[
        str, typer.Option(help="sp500, nasdaq or eurusd: candles that come with a dependency.")
    ] = "sp500",
    changes: Changes = None,
    runs: Runs = Path("runs"),
    json: Json = False,
) -> None:
    """Run the whole pipeline on real candles that need no download."""
    from tradenas.cli import actions

    actions.guarded(json, lambda say: actions.demo(say, sample, changes or [], runs))


@app.command()
def export(
    folder: RunPath,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="onnx, c or verilog; may be given several times.")
    ] = None,
    architecture: Annotated[
        str, typer.Option(help="Digest or name of a strategy of the run; its champion if not given.")
    ] = "",
    streaming: Annotated[
        bool | None, typer.Option("--streaming/--window", help="Only the one or the other; both if not said.")
    ] = None,
    batch: Annotated[int, typer.Option(min=0, help="Signals at once; 0 leaves it open where the format can.")] = 1,
    int8: Annotated[bool, typer.Option("--int8", help="An 8-bit version beside the exact one (onnx).")] = False,
    prove: Annotated[
        str, typer.Option(help="How far a circuit is proved (verilog): none, simulate, synthesise or route.")
    ] = "simulate",
    seed_index: Annotated[
        int | None, typer.Option(help="One training alone (0 is the first), not the mean of all that was traded.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; RUN/export/STRATEGY if not given.")] = None,
    json: Json = False,
) -> None:
    """Write a run's network for a runtime, with proofs that it says what was traded, and a card."""
    from tradenas.cli import actions, exporting

    actions.guarded(
        json,
        lambda say: exporting.export(
            say, folder, formats or ["onnx"], architecture, streaming=streaming, batch=batch or None, int8=int8,
            prove=prove, seed_index=seed_index, out=out,
        ),
    )  # fmt: skip


@app.command()
def measure(
    study: Annotated[Path, typer.Argument(help="A study file (TOML), whose networks are to be timed.")],
    device: Annotated[str, typer.Option(help="A device that ships, or the path of a TOML file.")] = "cpu-1core",
    backend: Annotated[str, typer.Option(help="onnxruntime, c, eager or cuda; the device's first if not said.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="File to write; STUDY-DEVICE-BACKEND.latency.json if not said.")
    ] = None,
    check: Annotated[int, typer.Option(min=0, help="Whole networks to check the table on.")] = 0,
    accept: Annotated[bool, typer.Option("--accept", help="Take a table of a machine that was not steady.")] = False,
    seed: Annotated[int, typer.Option(help="Of the networks that are drawn.")] = 0,
    changes: Changes = None,
    json: Json = False,
) -> None:
    """Time the parts of a study's networks on this machine: the latency table that a budget asks for."""
    from tradenas.cli import actions, measuring

    actions.guarded(
        json,
        lambda say: measuring.measure(
            say, study, changes or [], device=device, backend=backend, out=out, check=check, accept=accept, seed=seed
        ),
    )


@app.command()
def cite(folder: RunPath, json: Json = False) -> None:
    """Print the BibTeX of the methods and statistics that a run used."""
    from tradenas.cli import actions

    actions.guarded(json, lambda say: actions.cite(say, folder))


def main() -> None:
    """The `tradenas` command."""
    app(prog_name="tradenas")
    sys.exit(0)
