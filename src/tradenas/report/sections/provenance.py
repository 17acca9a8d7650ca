"""11: how many were tried, with what it ran, how to run it again, and every formula."""

from __future__ import annotations

import shlex

from tradenas.report.formulas import FORMULAS, Formula
from tradenas.report.markup import Markup, el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import LedgerCounts, Trials
from tradenas.report.sections.parts import Section, absent, facts, note, table
from tradenas.report.wording import count, decimal

__all__ = ["command", "provenance"]


def command(record: RunRecord) -> str:
    """The shell line that reproduces the run."""
    given = record.environment.command
    if given is None:
        return f"tradenas run {shlex.quote(record.folder.name)}/study.toml"
    return given if isinstance(given, str) else shlex.join(given)


def provenance(record: RunRecord) -> Section:
    """Ledger, versions, command, configuration, formulas."""
    env = record.environment
    versions = (
        ("tradenas", env.tradenas),
        ("Python", env.python),
        ("PyTorch", env.torch),
        ("NumPy", env.numpy),
        ("Platform", env.platform),
        ("Processor", env.cpu),
        ("Threads", count(env.threads) if env.threads is not None else None),
        ("Run folder", record.folder.name),
    )
    body = [
        el("h3", "Ledger"),
        _ledger(record),
        el("h3", "Command"),
        _code(command(record), "Command to reproduce"),
        el("h3", "Versions"),
        facts((name, value) for name, value in versions if value is not None),
        el("h3", "Configuration"),
        el("details", el("summary", "study.toml, resolved"), _code(record.study, "Configuration")),
        el("h3", "Formulas", id="formulas"),
        el("dl", join(_formula(key, formula) for key, formula in FORMULAS.items()), class_="formulas"),
    ]
    return Section(name="provenance", short="Ledger", title="Ledger, versions and how to reproduce", body=join(body))


def _ledger(record: RunRecord) -> Markup:
    parts = []
    if record.verdict is not None and record.verdict.trials.total is not None:
        parts.append(_trials(record.verdict.trials, record.verdict.effective_trials))
    if record.ledger is not None:
        parts.append(_rows(record.ledger))
    return join(parts) if parts else absent("Nothing has been scored yet.")


def _trials(trials: Trials, effective: float | None) -> Markup:
    rows = [(name.replace("_", " "), count(num)) for name, num in trials.by_stage.items()]
    rows.append(("together", count(trials.total)))
    rows += [("effective, as they resemble each other", decimal(effective, 1))] if effective is not None else []
    return table("Trials that the verdict pays for, by stage", ["stage", "trials"], rows)


def _rows(ledger: LedgerCounts) -> Markup:
    stages = ", ".join(f"{name.replace('_', ' ')} {count(num)}" for name, num in ledger.by_stage.items())
    looks = {0: "never opened", 1: "opened once"}.get(ledger.looks, f"opened {count(ledger.looks)} times")
    listed = f" ({stages})" if stages else ""
    return note(f"The ledger of this folder holds {count(ledger.total)} rows{listed}; the vault was {looks}.")


def _code(text: str, label: str) -> Markup:
    lines = join(text.splitlines(), "\n")
    return el("pre", el("code", lines), tabindex=0, role="region", aria_label=label)


def _formula(key: str, formula: Formula) -> Markup:
    source = el("dd", formula.source, class_="source") if formula.source else None
    words = el("dt", formula.name), el("dd", formula.meaning), el("dd", el("code", formula.formula)), source
    return el("div", *words, id=f"formula-{key}")
