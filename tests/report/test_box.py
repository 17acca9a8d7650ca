"""The terminal box: complete, narrow enough, and deaf to what is written in a name."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from report.fake_run import build
from tradenas.report import VerdictBox, load_record
from tradenas.report.schema import Champion

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return load_record(build(tmp_path_factory.mktemp("run") / "r", days=60, num_points=8))


def show(record, *, width=80, encoding="utf-8", **options):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=file, width=width, **options).print(VerdictBox(record, page="runs/a/report/index.html"))
    file.flush()
    return raw.getvalue().decode(encoding)


def test_it_says_everything_at_eighty_columns(record):
    text = show(record)
    assert all(len(line) <= 80 for line in text.splitlines())
    for words in (
        "EDGE",
        "finalist-1",
        "conv3 32 gelu",
        "net Sharpe",
        "best baseline",
        "SPA p",
        "StepM",
        "DSR",
        "PBO",
        "PSR",
        "212 counted",
        "search 200",
        "turnover",
        "6.5 bps",
        "parameters",
        "coverage",
        "longest gap 5h",
        "Kendall τ",
        "2021-01-01",
        "index.html",
    ):
        assert words in text, words
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_it_keeps_to_the_width(record, width):
    assert max(len(line) for line in show(record, width=width).splitlines()) <= min(width, 100)


def test_colour_adds_no_meaning_and_no_color_is_respected(record, monkeypatch):
    coloured = show(record, force_terminal=True, color_system="standard")
    assert "\x1b[1;32m" in coloured
    assert ESCAPE.sub("", coloured) == show(record)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[1-7]m", show(record, force_terminal=True, color_system="standard"))


def test_an_ascii_terminal_gets_ascii(record):
    text = show(record, encoding="ascii")
    assert "Kendall tau" in text
    assert "EDGE" in text
    assert "?" not in text


def test_names_cannot_speak_to_rich_or_to_the_terminal(record):
    name = "[bold red]x[/] \x1b[2J \x07"
    strange = replace(
        record,
        verdict=replace(record.verdict, champion=Champion(name=name)),
        strategies=(replace(record.strategies[0], name=name), *record.strategies[1:]),
        data=replace(record.data, symbol=name),
    )
    text = show(strange)
    assert "[bold red]x[/]" in text
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.parametrize("stage", ["search", "strategies", "daily", "coupling", "verdict", "ledger"])
def test_what_is_absent_does_not_stop_it(record, stage):
    text = show(replace(record, **{stage: None}))
    assert "None" not in text
    assert ("NO VERDICT YET" in text) == (stage == "verdict")


def test_a_watermark_comes_first(record):
    lines = show(replace(record, verdict=replace(record.verdict, watermark="the vault was seen before"))).splitlines()
    assert "the vault was seen before" in lines[2]
