"""11: how many were tried, with what it ran, how to run it again, and every formula."""

from __future__ import annotations

import shlex

from tradenas.report.formulas import FORMULAS
from tradenas.report.markup import Markup, el, join
from tradenas.report.wording import DASH, count, decimal
from tradenas.report.record import RunRecord
from tradenas.report.sections.parts import Section, absent, facts, table

__all__ = ["command", "provenance"]


def command(record: RunRecord) -> str:
    """The shell line that reproduces the run."""
    given = record.environment.command
    if given is None:
        return f"tradenas run {record.folder.name}/study.toml"
    return given if isinstance(given, str) else shlex.join(given)


def provenance(record: RunRecord) -> Section:
    """Ledger, versions, command, configuration, formulas."""
    env = record.environment
    versions = [(name, value) for name, value in (
        ("tradenas", env.tradenas), ("Python", env.python), ("PyTorch", env.torch), ("NumPy", env.numpy),
        ("Platform", env.platform), ("Processor", env.cpu), ("Threads", count(env.threads)), ("Run folder", record.folder.name),
    ) if value not in (None, DASH)]  # fmt: skip
    return Section(name="provenance", title="Ledger, versions and how to reproduce", body=join([
        el("h3", "Ledger"), _ledger(record),
        el("h3", "Command"), el("pre", el("code", command(record)), tabindex=0, role="region", aria_label="Command to reproduce"),
        el("h3", "Versions"), facts(versions),
        el("h3", "Configuration"),
        el("details", el("summary", "study.toml, resolved"), el("pre", el("code", _lines(record.study)), tabindex=0, role="region", aria_label="Configuration")),
        el("h3", "Formulas", id="formulas"), _formulas(),
    ]))  # fmt: skip


def _ledger(record: RunRecord) -> Markup:
    trials = record.verdict.trials if record.verdict is not None else None
    if trials is None or trials.total is None:
        return absent("The trials are counted with the verdict.")
    rows = [(name.replace("_", " "), count(num)) for name, num in trials.by_stage.items()]
    effective = record.verdict.effective_trials if record.verdict is not None else None
    rows += [("together", count(trials.total))]
    rows += [("effective, as they resemble each other", decimal(effective, 1))] if effective is not None else []
    return table("Everything ever scored, by stage", ["stage", "trials"], rows)


def _lines(text: str) -> Markup:
    return join(text.splitlines(), "\n")


def _formulas() -> Markup:
    return el("dl", join(
        el("div", el("dt", f.name), el("dd", f.meaning), el("dd", el("code", f.formula)), el("dd", f.source, class_="source") if f.source else None,
           id=f"formula-{key}")
        for key, f in FORMULAS.items()
    ), class_="formulas")  # fmt: skip
