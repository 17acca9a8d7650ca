"""What a run folder says, as types."""

from __future__ import annotations

from tradenas.report.schema.coupling import (
    Causes,
    Chance,
    Conflict,
    Coupling,
    CouplingPoint,
    Finalists,
    Finding,
    Repair,
    TauInterval,
)
from tradenas.report.schema.data import DataAudit, Environment, Target, Zone, Zones
from tradenas.report.schema.judgement import (
    Champion,
    Costs,
    Interval,
    LedgerCounts,
    Spa,
    StepM,
    SweepPoint,
    Trials,
    Verdict,
)
from tradenas.report.schema.models import (
    Candidate,
    InputRecord,
    OptionEffect,
    SearchRecord,
    SeedRun,
    Strategies,
    Strategy,
    TracePoint,
    ZoneScores,
)
from tradenas.report.schema.regimes import RegimeRecord, RegimeScores, RegimeZone, RoutedAgainstSingle

__all__ = [
    "Candidate",
    "Causes",
    "Champion",
    "Chance",
    "Conflict",
    "Costs",
    "Coupling",
    "CouplingPoint",
    "DataAudit",
    "Environment",
    "Finalists",
    "Finding",
    "InputRecord",
    "Interval",
    "LedgerCounts",
    "OptionEffect",
    "RegimeRecord",
    "RegimeScores",
    "RegimeZone",
    "Repair",
    "RoutedAgainstSingle",
    "SearchRecord",
    "SeedRun",
    "Spa",
    "StepM",
    "Strategies",
    "Strategy",
    "SweepPoint",
    "Target",
    "TauInterval",
    "TracePoint",
    "Trials",
    "Verdict",
    "Zone",
    "ZoneScores",
    "Zones",
]
