"""Each trial once, whatever is killed or replayed; a damaged, foreign or newer file is refused."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas.errors import ConfigError, FolderError, VaultError
from tradenas.splits.spans import VaultZone
from tradenas.splits.vault import Look, Vault
from tradenas.trials.ledger import Ledger, Trial


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened  # type: ignore[misc]


def trial(i: int, stage: str = "search", **changes: object) -> Trial:
    fields: dict[str, object] = {
        "stage": stage,
        "key": f"k{i}",
        "digest": f"d{i}",
        "architecture": {"layer0/op": "gru", "layer0/width": 16 + i, "input/columns": ["a", "b"]},
        "seed": i,
        "fold": None,
        "params": {"lr": 0.1 * i},
        "scores": {"sharpe": i / 3, "profit_factor": None},
    }
    return Trial(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_trial_comes_back_as_it_was(ledger: Ledger) -> None:
    ledger.record_many([trial(1), trial(2, scores=None, error="DivergedError: loss nan")])
    assert ledger.trials("search") == [trial(1), trial(2, scores=None, error="DivergedError: loss nan")]
    assert [t.status for t in ledger.trials()] == ["ok", "failed"]
    assert ledger.trials()[0].created is not None
    assert ledger.trials("retrain") == []


def test_record_says_whether_it_is_new(ledger: Ledger) -> None:
    assert ledger.record("retrain", "ridge", seed=1, scores={"sharpe": 0.1}) is True
    assert ledger.record("retrain", "ridge", seed=1, scores={"sharpe": 0.1}) is False
    assert ledger.record("search", "ridge", seed=1, scores={"sharpe": 0.2}) is True
    assert ledger.record("retrain", "gru", error="MemoryError") is True
    assert ledger.count() == 3
    assert ledger.count("retrain") == 2
    assert ledger.count_by_stage() == {"retrain": 2, "search": 1}


@given(st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False) | st.none(), max_size=4))
@settings(max_examples=30, derandomize=True, deadline=None)
def test_scores_are_exact(scores: dict[str, float | None]) -> None:
    with Ledger(":memory:") as ledger:
        ledger.record("s", "k", scores=scores)
        assert list(ledger.trials()[0].scores.items()) == sorted(scores.items())  # type: ignore[union-attr]
        assert ledger.record("s", "k", scores=scores) is False


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"scores": {"sharpe": 1 / 3 + 1e-16, "profit_factor": None}}, "scores"),
        ({"scores": None, "error": "boom"}, "status"),
        ({"seed": 2}, "seed"),
        ({"architecture": {}}, "architecture"),
        ({"params": {}}, "params"),
        ({"digest": None}, "digest"),
        ({"fold": 0}, "fold"),
    ],
)
def test_another_outcome_for_the_same_key_is_refused(ledger: Ledger, change: dict[str, object], named: str) -> None:
    ledger.record_many([trial(1)])
    with pytest.raises(FolderError, match=f"k1 {named}: .*not reproducible"):
        ledger.record_many([trial(0), trial(1, **change)])
    assert ledger.trials() == [trial(1)]  # all or none


def test_a_failure_keeps_its_first_words_and_gives_way_to_scores(ledger: Ledger) -> None:
    failed = trial(1, scores=None, error="killed at 0x7f01")
    ledger.record_many([failed])
    ledger.record_many([trial(1, scores=None, error="killed at 0x7f02")])
    assert ledger.trials() == [failed]
    assert ledger.record_many([trial(1)]) == 0
    assert ledger.trials() == [trial(1)]
    assert ledger.count() == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_refused(ledger: Ledger, bad: float) -> None:
    with pytest.raises(ConfigError):
        ledger.record_many([trial(0), trial(1, scores={"sharpe": bad})])
    assert ledger.count() == 0


def test_neither_or_both_of_scores_and_error_is_refused() -> None:
    with pytest.raises(ConfigError, match="exactly one"):
        trial(1, scores=None)
    with pytest.raises(ConfigError, match="exactly one"):
        trial(1, error="boom")


def test_a_batch_is_all_or_none(ledger: Ledger) -> None:
    def broken() -> None:
        with ledger.batch():
            ledger.record("s", "a", scores={})
            ledger.record("s", "b", scores={})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert ledger.count() == 0
    with ledger.batch():
        ledger.record("s", "a", scores={})
    assert ledger.count() == 1


def test_the_fingerprint_is_of_the_content_only(tmp_path: Path) -> None:
    with Ledger(tmp_path / "a.db") as a, Ledger(tmp_path / "b.db") as b:
        a.record_many([trial(1), trial(2)])
        b.record_many([trial(2)])
        assert a.fingerprint() != b.fingerprint()
        time.sleep(0.002)
        b.record_many([trial(1)])
        assert a.fingerprint() == b.fingerprint()
        b.record_many([trial(1, stage="retrain")])
        assert a.fingerprint() != b.fingerprint()


def test_a_thousand_trials_are_one_quick_transaction(ledger: Ledger) -> None:
    began = time.perf_counter()
    assert ledger.record_many(trial(i) for i in range(1000)) == 1000
    assert time.perf_counter() - began < 2.0  # about 20 ms on a quiet machine
    assert ledger.count() == 1000


# the vault


def test_the_ledger_keeps_the_looks_into_the_vault(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.db") as ledger:
        assert ledger.looks() == []
        Vault(VaultZone(80, 100), ledger).open("judgement", subject="abc")
    with Ledger(tmp_path / "l.db") as ledger:
        assert [(look.number, look.reason, look.stop) for look in ledger.looks()] == [(1, "judgement", 100)]
        vault = Vault(VaultZone(80, 100), ledger)
        with pytest.raises(VaultError):
            vault.open("once more")
        assert vault.open("once more", again=True).watermark is not None
        assert len(ledger.looks()) == 2


def test_a_look_must_be_the_next_one_and_none_may_vanish(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.db") as ledger:
        for number in (0, 2):
            with pytest.raises(VaultError, match="expected look 1"):
                ledger.stamp(Look(number=number, time_ms=0, reason="r", subject="", start=0, stop=1))
        for number in (1, 2):
            ledger.stamp(Look(number=number, time_ms=0, reason="r", subject="", start=0, stop=1))
    with sqlite3.connect(tmp_path / "l.db") as raw:
        raw.execute("DELETE FROM looks WHERE number = 1")
    raw.close()
    with Ledger(tmp_path / "l.db") as ledger, pytest.raises(FolderError, match="1, 2, 3"):
        ledger.looks()


# the file


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "l.db").close()
    with sqlite3.connect(tmp_path / "l.db") as raw:
        raw.execute("PRAGMA user_version = 2")
    raw.close()
    with pytest.raises(FolderError, match="pgrade tradenas"):
        Ledger(tmp_path / "l.db")


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "l.db") as raw:
        raw.execute("CREATE TABLE bookmarks (url TEXT)")
    raw.close()
    with pytest.raises(FolderError, match="another program"):
        Ledger(tmp_path / "l.db")
    with sqlite3.connect(tmp_path / "l.db") as raw:
        assert [name for (name,) in raw.execute("SELECT name FROM sqlite_master")] == ["bookmarks"]
    raw.close()


@pytest.mark.parametrize("damage", ["text", "middle", "cut"])
def test_a_damaged_file_is_a_typed_error(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "l.db"
    with Ledger(file) as ledger:
        ledger.record_many(trial(i) for i in range(500))
    data = file.read_bytes()
    damaged = {
        "text": b"this is no database at all, however long it goes on" * 100,
        "middle": data[:8192] + b"\xff" * 16384 + data[24576:],
        "cut": data[: len(data) // 2],
    }
    file.write_bytes(damaged[damage])
    with pytest.raises(FolderError):
        Ledger(file)


def test_a_folder_in_its_place_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(FolderError):
        Ledger(tmp_path)


# kills

WRITER = """
import sys
from tradenas.trials.ledger import Ledger, Trial
with Ledger(sys.argv[1]) as ledger:
    for i in range(0, 4000, 20):
        ledger.record_many(
            Trial(stage="s", key=f"{i}/{j}", seed=i, scores={"x": i / 7 + j}) for j in range(20)
        )
        print(i, flush=True)
"""


def test_sigkilled_writers_lose_nothing_they_said_was_written(tmp_path: Path) -> None:
    chance, file = random.Random(0), tmp_path / "l.db"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = 0
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True, env=env)
        assert writer.stdout is not None
        said = int(writer.stdout.readline())  # the first batch: the writer is under way
        time.sleep(chance.uniform(0, 0.1))
        writer.kill()
        said = max([said, *(int(line) for line in writer.stdout.read().split())])
        writer.stdout.close()
        killed += writer.wait() == -signal.SIGKILL
        with Ledger(file) as ledger:
            trials = ledger.trials()
            assert len(trials) % 20 == 0  # whole batches
            assert len(trials) >= said + 20
            assert all(t.scores == {"x": t.seed / 7 + int(t.key.split("/")[1])} for t in trials)  # type: ignore[operator]
    assert killed >= 3
    subprocess.run([sys.executable, "-c", WRITER, str(file)], check=True, env=env, stdout=subprocess.DEVNULL)
    with Ledger(file) as ledger:
        assert ledger.count() == 4000


# jobs


def test_a_job_is_claimed_by_one_and_finished_by_its_holder_only(ledger: Ledger) -> None:
    jobs = ledger.jobs
    jobs.add({"a": "{}", "b": "{}"})
    assert jobs.claim("a", "me") == 1
    with pytest.raises(FolderError, match="held by another run"):
        jobs.claim("a", "you")
    assert jobs.claim("a", "me") == 2
    for owner, tries in (("you", 2), ("me", 1)):
        with pytest.raises(FolderError, match="another run at work"):
            jobs.finish("a", owner=owner, tries=tries, result_path="a/result.json", result_sha256="00")
    jobs.finish("a", owner="me", tries=2, result_path="a/result.json", result_sha256="00")
    jobs.add({"a": "{}"})
    assert jobs.rows(["a"])["a"].state == "done"
    assert jobs.rows()["b"].state == "ready"
    with pytest.raises(FolderError):
        jobs.claim("c", "me")


def test_what_a_dead_run_left_is_taken_over(ledger: Ledger) -> None:
    jobs = ledger.jobs
    jobs.add({"a": "{}", "b": "{}", "c": "{}"})
    for name in ("a", "b"):
        jobs.claim(name, "dead")
    jobs.fail("b", owner="dead", tries=1, error="ValueError: x", parked=False)
    assert jobs.take_over() == 1
    assert jobs.claim("a", "me") == 2
    with pytest.raises(FolderError, match="another run at work"):
        jobs.fail("a", owner="dead", tries=1, error="late", parked=True)
    assert jobs.rows()["b"].error == "ValueError: x"
