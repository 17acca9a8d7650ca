"""Which rows to learn from, choose on, and be judged on.

The vault lives in `tradenas.splits.vault` and is not re-exported here: what searches may not reach it.
"""

from __future__ import annotations

from tradenas.splits.guards import as_folds, refuse_shuffled
from tradenas.splits.purged import Split, combinatorial, num_paths, num_splits, paths, purge_rows, purged_folds
from tradenas.splits.spans import SearchZone, SelectionZone, Span, VaultZone
from tradenas.splits.walk_forward import Fold, holdout, require_gap, walk_forward
from tradenas.splits.zones import Zones, make_zones, make_zones_at

__all__ = [
    "Fold",
    "SearchZone",
    "SelectionZone",
    "Span",
    "Split",
    "VaultZone",
    "Zones",
    "as_folds",
    "combinatorial",
    "holdout",
    "make_zones",
    "make_zones_at",
    "num_paths",
    "num_splits",
    "paths",
    "purge_rows",
    "purged_folds",
    "refuse_shuffled",
    "require_gap",
    "walk_forward",
]
