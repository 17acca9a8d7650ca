"""The sections of the page, in the order in which a quant looks for them."""

from __future__ import annotations

from collections.abc import Callable

from tradenas.report.record import RunRecord
from tradenas.report.sections import (
    alphas,
    budget,
    charts,
    coupling,
    data,
    design,
    devices,
    inputs,
    markets,
    models,
    paths,
    provenance,
    regimes,
    verdict,
)
from tradenas.report.sections.parts import Section

__all__ = ["SECTIONS", "Section"]

#: Makers of a section each; of none where the study has nothing of the kind.
SECTIONS: tuple[Callable[[RunRecord], Section | None], ...] = (
    verdict.verdict,
    charts.equity,
    charts.drawdown,
    charts.months,
    models.strategies,
    markets.markets,
    paths.paths,
    regimes.regimes,
    charts.costs,
    design.champion,
    budget.budget,
    devices.devices,
    inputs.inputs,
    coupling.coupling,
    alphas.alphas,
    models.candidates,
    data.audit,
    provenance.provenance,
)
