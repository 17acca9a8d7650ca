"""The verb `measure`: a latency table of a study's space, and what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradenas.cli.actions import Say, parse_changes

if TYPE_CHECKING:
    from rich.table import Table as Shown

    from tradenas.cost.latency import Measured

__all__ = ["measure"]


def measure(
    say: Say,
    study: Path,
    changes: Sequence[str],
    *,
    device: str,
    backend: str,
    out: Path | None,
    check: int,
    accept: bool,
    seed: int,
) -> int:
    """Times the parts of a study's networks on a device, writes the table, and shows how far it can be believed."""
    import torch

    from tradenas.cost.devices import device as named
    from tradenas.cost.latency import measure as made
    from tradenas.nn import Layout, Network
    from tradenas.study.config import read_config

    torch.set_num_threads(1)
    config = read_config(study, changes=parse_changes(list(changes)))
    found = named(study.parent / device if device.endswith(".toml") else device)
    columns = config.columns
    layout = Layout(
        groups=tuple(columns.values()), transforms=config.space.blocks, names=tuple(columns),
        assets=max(1, len(config.data.symbols)),
    )  # fmt: skip
    network = Network(config.full_space.space(columns), layout)
    bars, begun = say.progress(), False

    def progress(done: int, total: int) -> None:
        nonlocal begun
        if not begun:  # how many there are is known when all are built
            bars.start("latency", total)
            begun = True
        bars.advance("latency", done)

    measured = made(
        network, found, backend, check=check, accept=accept, seed=seed, progress=progress
    )  # fmt: skip
    bars.end("latency")
    table = measured.table
    path = out or study.with_name(f"{study.stem}-{found.name}-{table.conditions.backend}.latency.json")
    table.save(path)
    say.out().print(_shown(measured, str(path)))
    if table.accepted:
        bars.warn("latency", f"the machine was not steady ({table.floor:.1%}); the table is marked")
    say.result(_facts(measured) | {"table": str(path)})
    return 0


def _facts(measured: Measured) -> dict[str, Any]:
    table = measured.table
    us, where = table.us, table.conditions
    return {
        "device": table.device,
        "backend": where.backend,
        "cpu": where.cpu,
        "mode": where.mode,
        "threads": where.threads,
        "batch": where.batch,
        "precision": where.precision,
        "load": list(table.load),
        "seconds": table.seconds,
        "samples": table.samples,
        "entries": len(table.entries),
        "probe_us": table.probe_us,
        "floor": table.floor,
        "accepted": table.accepted,
        "fit": {"a_us": table.fit.a * us, "b": table.fit.b, "c_us": table.fit.c * us},
        "error_fitted": table.error,
        "between_us": table.between_us,
        "p99_over_p50": table.p99,
        "check": _checked(measured),
    }


def _checked(measured: Measured) -> dict[str, float] | None:
    """How far off the table is on networks that it was not fitted on; None where none were asked for."""
    if not measured.checks:
        return None
    off = [abs(p / c.measured_us - 1) for p, c in zip(measured.predicted_us, measured.checks, strict=True)]
    return {
        "nets": len(off), "mape": sum(off) / len(off), "within_10": sum(e <= 0.1 for e in off) / len(off),
        "worst": max(off),
    }  # fmt: skip


def _shown(measured: Measured, path: str) -> Shown:
    from rich.table import Table as Shown
    from rich.text import Text

    facts = _facts(measured)
    fit, check, between = facts["fit"], facts["check"], facts["between_us"]
    shown = Shown(title=f"{facts['device']}, {facts['backend']}", show_header=False)
    shown.add_column(style="dim")
    shown.add_column()
    rows = {
        "table": path,
        "processor": f"{facts['cpu']}, load {facts['load'][0]:.1f} before and {facts['load'][1]:.1f} after",
        "calls": f"{facts['mode']}, batch {facts['batch']}, {facts['threads']} thread(s), {facts['precision']}",
        "measured": f"{facts['samples']:,} programs in {facts['seconds']:.0f} s, {facts['entries']:,} times of parts",
        "probe": f"{facts['probe_us']:.3f} us",
        "floor": f"{facts['floor']:.2%} between two halves of the measurement, on whole networks",
        "network": f"{fit['a_us']:.3f} us + {fit['b']:.3f} x its parts + {fit['c_us']:.3f} us x their number",
        "error": f"{facts['error_fitted']:.2%} on the {len(measured.table.nets)} networks that this was fitted on",
        "p99 / p50": f"{facts['p99_over_p50']:.2f} of single calls of these networks",
    }
    if check:
        rows["checked"] = (
            f"{check['mape']:.2%} on {check['nets']} other networks, {check['within_10']:.0%} within 10 %, worst "
            f"{check['worst']:.1%}"
        )
    if between is not None:
        rows["not measured"] = f"parts worked out from others are off by {between:.3f} us"
    for name, text in rows.items():
        shown.add_row(name, Text(text))
    return shown
