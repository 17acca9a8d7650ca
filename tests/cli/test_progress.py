"""What a run says on standard error: a small table under the name of its stage, beside the bars."""

from __future__ import annotations

from tradenas.cli.progress import Bars
from tradenas.events import Events


def test_a_table_is_said_line_by_line_and_written_down(capsys, tmp_path):
    events = Events(tmp_path / "events.jsonl", Bars())
    lines = ["        limit  smallest", "macs    1,000       270", "all limits: 57.3% fit"]
    events.say("budget", lines)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["what networks may cost:", *(f"  {line}" for line in lines)]
    (written,) = events.read()
    assert (written["kind"], written["stage"], written["lines"]) == ("said", "budget", lines)
