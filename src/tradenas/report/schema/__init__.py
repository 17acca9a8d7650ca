"""What a run folder says, as types."""

from __future__ import annotations

from tradenas.report.schema.data import DataAudit, Environment, Target, Zone, Zones
from tradenas.report.schema.judgement import (
    Champion,
    Costs,
    Coupling,
    CouplingPoint,
    Interval,
    LedgerCounts,
    Spa,
    StepM,
    SweepPoint,
    TauInterval,
    Trials,
    Verdict,
)
from tradenas.report.schema.models import Candidate, SearchRecord, SeedRun, Strategies, Strategy, TracePoint, ZoneScores
from tradenas.report.schema.regimes import RegimeRecord, RegimeScores, RegimeZone, RoutedAgainstSingle

__all__ = [
    "Candidate",
    "Champion",
    "Costs",
    "Coupling",
    "CouplingPoint",
    "DataAudit",
    "Environment",
    "Interval",
    "LedgerCounts",
    "RegimeRecord",
    "RegimeScores",
    "RegimeZone",
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
