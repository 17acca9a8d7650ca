"""The vault opens once; a second look needs a word and leaves a mark; a kill or a race loses no look."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tradenas.errors import ConfigError, FolderError, VaultError
from tradenas.splits import Span, VaultZone, make_zones
from tradenas.splits.vault import JsonLooks, Look, Vault


@pytest.fixture
def store(tmp_path: Path) -> JsonLooks:
    return JsonLooks(tmp_path / "vault.json")


@pytest.fixture
def vault(store: JsonLooks) -> Vault:
    return Vault(VaultZone(80, 100), store)


def test_first_look(vault: Vault, store: JsonLooks) -> None:
    assert store.looks() == []
    opened = vault.open("final judgement", subject="abc")
    assert (opened.slice, list(opened), opened.watermark) == (slice(80, 100), list(range(80, 100)), None)
    (look,) = store.looks()
    assert (look.number, look.reason, look.subject, look.start, look.stop) == (1, "final judgement", "abc", 80, 100)


def test_a_second_look_is_refused_and_leaves_no_stamp(vault: Vault, store: JsonLooks) -> None:
    vault.open("first")
    with pytest.raises(VaultError, match=r"'first'.*again=True"):
        vault.open("second")
    assert len(store.looks()) == 1


def test_a_second_look_on_record_marks_everything_after(vault: Vault, store: JsonLooks) -> None:
    vault.open("first")
    assert vault.watermark is None
    opened = vault.open("with more seeds", again=True)
    assert opened.watermark is not None
    assert "OPENED 2 TIMES" in opened.watermark
    assert "first" in opened.watermark
    assert "with more seeds" in opened.watermark
    assert Vault(VaultZone(80, 100), store).watermark == opened.watermark
    with pytest.raises(VaultError, match="2 look"):
        vault.open("third")


def test_moving_the_boundary_makes_no_new_vault(store: JsonLooks) -> None:
    Vault(VaultZone(80, 100), store).open("first")
    with pytest.raises(VaultError):
        Vault(VaultZone(81, 100), store).open("a new vault, surely")


def test_a_killed_run_resumes_its_own_look_only(store: JsonLooks, vault: Vault) -> None:
    vault.open("judge", subject="finalists-1")
    assert vault.open("resumed", subject="finalists-1").watermark is None
    assert len(store.looks()) == 1
    with pytest.raises(VaultError):
        vault.open("judge", subject="finalists-2")
    with pytest.raises(VaultError):  # same candidates, other rows: that is another look
        Vault(VaultZone(70, 100), store).open("judge", subject="finalists-1")
    vault.open("judge", subject="finalists-2", again=True)
    with pytest.raises(VaultError):  # only the last look can be resumed
        vault.open("judge", subject="finalists-1")
    assert vault.open("resumed", subject="finalists-2").watermark is not None
    assert len(store.looks()) == 2


def test_no_subject_is_never_a_resume(vault: Vault) -> None:
    vault.open("judge")
    with pytest.raises(VaultError):
        vault.open("judge")


def test_a_look_is_written_before_rows_are_given(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JsonLooks, "stamp", lambda self, look: (_ for _ in ()).throw(FolderError("disk full")))
    with pytest.raises(FolderError):
        vault.open("first")


def test_before_it_is_opened_it_is_no_sequence(vault: Vault) -> None:
    for read in (
        len,
        iter,
        list,
        lambda v: v[0],
        lambda v: v[:],
        lambda v: 85 in v,
        lambda v: v.slice,
        lambda v: v.rows,
    ):
        with pytest.raises((TypeError, AttributeError)):
            read(vault)
    with pytest.raises(AttributeError):
        vault.zone = Span(0, 100)  # type: ignore[attr-defined]


def test_what_it_shows(vault: Vault) -> None:
    assert repr(vault) == str(vault) == "Vault(rows 80..100, sealed)"
    vault.open("first")
    assert repr(vault) == "Vault(rows 80..100, opened 1x)"


def test_only_a_vault_zone_and_only_with_a_reason(vault: Vault, store: JsonLooks) -> None:
    with pytest.raises(ConfigError, match="VaultZone"):
        Vault(make_zones(1_000, purge=2, embargo=8).search, store)  # type: ignore[arg-type]
    for reason in ("", "  \n"):
        with pytest.raises(ConfigError, match="reason"):
            vault.open(reason)
    assert store.looks() == []


def test_two_openers_at_once_make_one_look(store: JsonLooks) -> None:
    look = Look(number=1, time_ms=1, reason="mine", subject="", start=80, stop=100)

    class Late(JsonLooks):
        """Read the store before the other one wrote."""

        def looks(self) -> list[Look]:
            seen = super().looks()
            return [] if self.blind else seen

        blind = True

        def stamp(self, look: Look) -> None:
            self.blind = False
            super().stamp(look)

    store.stamp(look)
    with pytest.raises(VaultError, match="look 1 after 1 look"):
        Vault(VaultZone(80, 100), Late(store.path)).open("theirs")
    assert store.looks() == [look]


def test_processes_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from tradenas.splits.vault import *; from tradenas.splits import VaultZone\n"
        "from tradenas.errors import VaultError\n"
        "try: Vault(VaultZone(80, 100), JsonLooks(sys.argv[1])).open('race'); print('rows')\n"
        "except VaultError: print('refused')"
    )
    path = tmp_path / "vault.json"
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    said = sorted(run.communicate(timeout=60)[0].strip() for run in runs)
    assert said == ["refused", "refused", "rows"]
    assert len(JsonLooks(path).looks()) == 1


def test_a_stamp_waits_for_the_other_writer(store: JsonLooks) -> None:
    look = Look(number=1, time_ms=1, reason="one", subject="", start=80, stop=100)
    late = threading.Thread(target=store.stamp, args=(look,))
    with store._locked():
        late.start()
        late.join(0.1)
        assert late.is_alive()
        assert store.looks() == []
    late.join(30)
    assert store.looks() == [look]


@pytest.mark.parametrize("damage", ["cut", "other", "removed"])
def test_a_damaged_store_is_refused_not_forgotten(damage: str, store: JsonLooks) -> None:
    look = Look(number=1, time_ms=1, reason="one", subject="", start=80, stop=100)
    store.stamp(look)
    store.stamp(replace(look, number=2))
    text = store.path.read_text()
    if damage == "cut":
        store.path.write_text(text[:-10])
    elif damage == "other":
        store.path.write_text('{"looks": [{"number": 1}]}')
    else:
        told = json.loads(text)
        store.path.write_text(json.dumps({"looks": told["looks"][1:]}))
    with pytest.raises(FolderError):
        store.looks()
    with pytest.raises(FolderError):
        Vault(VaultZone(80, 100), store).open("after the accident", again=True)


def test_what_searches_may_import_does_not_bring_the_vault_along() -> None:
    code = "import sys, tradenas.splits; print('tradenas.splits.vault' in sys.modules, 'sklearn' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert said == ["False", "False"]
