"""How long a search took counts every session once."""

from __future__ import annotations

from tradenas.events import Events
from tradenas.study.searching import _spent


def test_sessions_add_up_and_what_was_done_again_counts_once(tmp_path):
    events = Events(tmp_path / "events.jsonl")
    for epoch, seconds in ((0, 1.0), (1, 2.0), (1, 3.0), (2, 4.0)):
        events.write("epoch", stage="search", epoch=epoch, seconds=seconds)
    events.write("epoch", stage="other", epoch=9, seconds=100.0)
    events.write("end", stage="search", seconds=50.0)
    assert _spent(events) == 8.0
