"""Warnings reach the file and whoever watches."""

from __future__ import annotations

import json

from tradenas.cli.progress import Bars
from tradenas.events import Events


def test_a_warning_is_written_down_and_shown(tmp_path, capsys):
    bars = Bars()
    events = Events(tmp_path / "events.jsonl", bars)
    with events.span("search", 2):
        events.warn("search", "too few [red]updates[/red]")
    kinds = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [(k["kind"], k["stage"]) for k in kinds] == [("begin", "search"), ("warning", "search"), ("end", "search")]
    assert kinds[1]["message"] == "too few [red]updates[/red]"
    said = capsys.readouterr()
    assert "warning: search: too few [red]updates[/red]" in " ".join(said.err.split())
    assert said.out == ""


def test_without_a_file_it_is_shown_all_the_same(capsys):
    Events(None, Bars()).warn("data", "odd")
    assert "odd" in capsys.readouterr().err
    Events().warn("data", "nobody watches")


def test_lines_are_read_back_and_a_torn_one_is_passed_over(tmp_path):
    events = Events(tmp_path / "events.jsonl")
    assert list(events.read()) == []
    events.write("epoch", stage="search", epoch=0)
    with (tmp_path / "events.jsonl").open("a") as out:
        out.write('{"kind": "epo\n')
    events.write("epoch", stage="search", epoch=1)
    assert [e["epoch"] for e in events.read()] == [0, 1]
    assert list(Events(None).read()) == []
