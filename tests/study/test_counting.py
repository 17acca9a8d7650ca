"""What the search tells of a score becomes a trial, and another look at the same architecture another trial."""

from __future__ import annotations

import pytest

from tradenas.errors import FolderError
from tradenas.space import Architecture
from tradenas.study.searching import _Counting
from tradenas.trials.ledger import Ledger

ONE = Architecture({"depth": 1})


def test_every_look_is_a_trial_and_told_again_it_is_none(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    counting = _Counting(ledger)
    for _ in range(2):  # a search that was killed tells its trials again
        counting(ONE, {"ic": 0.1, "ic/calm": 0.3}, None, "stage0")
        counting(ONE, {"ic": 0.2, "ic/calm": 0.4}, None)
        counting.flush()
    found = {t.key: t.scores for t in ledger.trials("search")}
    assert found == {f"{ONE.digest}/stage0": {"ic": 0.1}, ONE.digest: {"ic": 0.2}}
    assert {t.digest for t in ledger.trials("search")} == {ONE.digest}
    assert ledger.count("regimes") == 2
    counting(ONE, {"ic": 0.9}, None)
    with pytest.raises(FolderError, match="as recorded before"):
        counting.flush()
