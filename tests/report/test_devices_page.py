"""The section of devices: which network is whose, and what became of it."""

from __future__ import annotations

import json

import pytest

from report.fake_run import build
from report.test_page import HOSTILE, Page
from tradenas.errors import FolderError
from tradenas.report.html import render
from tradenas.report.record import load_record
from tradenas.report.sections.devices import devices


@pytest.fixture
def folder(tmp_path):
    """A run whose search served three devices: one by a finalist, one by nobody retrained, one by nothing."""
    folder = build(tmp_path / "r", days=60, num_points=8)
    finalist = next(s for s in load_record(folder).strategies if s.kind == "finalist")
    served = {"words": HOSTILE, "scores": {"ic": 0.0415}, "costs": {"macs": 1500.0, "weight_bytes": 2400.0}}
    rows = [
        {"name": "phone", "profile": "mobile-10mb", "limits": {"macs": 2000.0}, "not_held": {"latency_us": 10000.0},
         "fitting": 34, "best": {**served, "digest": finalist.digest}},
        {"name": "server", "profile": "", "limits": {}, "not_held": {}, "fitting": 60,
         "best": {**served, "digest": "f" * 64}},
        {"name": "toy", "profile": "", "limits": {"macs": 10.0}, "not_held": {}, "fitting": 0, "best": None},
    ]  # fmt: skip
    told = {"metric": "ic", "looks": 61, "devices": rows}
    (folder / "search" / "devices.json").write_text(json.dumps(told))
    return folder


def test_it_says_whose_each_network_is(folder):
    record = load_record(folder)
    finalist = next(s for s in record.strategies if s.kind == "finalist")
    page = Page(render(record))
    assert not page.faults
    for words in (
        "61 architectures were scored for 3 devices, which have 2 different best networks",
        finalist.digest[:10], finalist.name, "not retrained", "none that was scored fits", "none that is priced",
        "1,500 multiply-accumulates · 2.4 kB of weights", "0.042", "phone also limits what the search has no price for",
        "latency 10,000 µs",
    ):  # fmt: skip
        assert words in page.text, words
    order = [attrs["id"] for tag, attrs, _ in page.tags if tag == "section"]
    assert "devices" in order
    sharpe = finalist.zone(record.zone).sharpe
    assert f"{abs(sharpe):.2f}" in str(devices(record).body)


def test_without_devices_there_is_no_section(tmp_path):
    record = load_record(build(tmp_path / "r", days=60, num_points=8))
    assert devices(record) is None
    assert 'id="devices"' not in render(record)


def test_a_damaged_file_is_named(folder):
    (folder / "search" / "devices.json").write_text('{"metric": "ic", "looks": 61, "devices": [{"name": 3}]}')
    with pytest.raises(FolderError, match=r"devices\.json: devices\[0\]"):
        load_record(folder)
