"""SIGKILL at random moments, resumed until done: the bits of a study left alone (`benchmarks/kill.py`)."""

from __future__ import annotations

import pytest

from study.tiny import kill


def check(outcome, kills):
    assert len(outcome.kills) == kills
    assert outcome.differs == {}
    assert len(outcome.want) == 14
    assert outcome.want["vault looks"] == "1"


def test_three_kills(tmp_path):
    check(kill.killed(3, runner="inline", seed=54, folder=tmp_path, here=True), 3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_five_kills_with_workers(tmp_path):
    outcome = kill.killed(25, runner="process", seed=0, folder=tmp_path)
    check(outcome, 25)
    assert {"search", "coupling", "baselines", "retrain", "vault"} <= set(outcome.per_stage)
    assert max(k.orphans_s for k in outcome.kills) < 5.0


def test_the_hash_sees_a_changed_bit(tmp_path):
    """What the kills are compared by is not blind: wall times are left out, everything else is in."""
    assert kill._timeless({"a": [{"seconds": 3, "b": 1}]}) == {"a": [{"b": 1}]}
    from study.tiny import tiny
    from tradenas.study import Study

    folder = Study.of(tiny(trials={"top_k": 1, "random": 0, "coupling": 0, "baselines": ["flat"]})).run(tmp_path).folder
    want = kill.content(folder)
    text = (folder / "search" / "candidates.json").read_text()
    (folder / "search" / "candidates.json").write_text(text.replace('"seconds": ', '"seconds": 1'))
    assert kill.content(folder) == want
    (folder / "search" / "candidates.json").write_text(text.replace('"rank": 1,', '"rank": 2,'))
    weights = next((folder / "retrain" / "jobs").glob("*/weights.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    got = kill.content(folder)
    assert {k for k in want if want[k] != got[k]} == {"search/candidates.json", "jobs"}
