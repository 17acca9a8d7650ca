"""The page in headless Chromium: no console errors, nothing wider than a phone, hover works."""

from __future__ import annotations

import html
import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from report.fake_alphas import write_alphas
from report.fake_budget import with_budget
from report.fake_run import build
from tradenas.report.write import write_report

CHROMIUM = next(
    (path for path in (shutil.which("chromium"), "/usr/bin/chromium") if path and Path(path).exists()), None
)
WIDTHS = (390, 1280)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH nor at /usr/bin/chromium")

CHECK = (Path(__file__).parent / "check.js").read_text()


def chromium(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    profile = tmp_path / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    return subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def console(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """An edge with a hostile name in it, and with alphas; and no edge."""
    strange = {"finalist-1": "<script>console.error('ran')</script> a finalist with a long name"}
    folder = tmp_path_factory.mktemp("run")
    return {
        "EDGE": write_report(
            with_budget(write_alphas(build(folder / "a", names=strange, days=250, num_points=40))), png=False
        ),
        "NO EDGE": write_report(
            build(folder / "b", verdict="NO EDGE", days=250, num_points=40, watermark="second look"),
            png=False,
        ),
    }


def framed(page: Path, folder: Path) -> Path:
    """The page in frames of a phone's and a desk's width (no window is as narrow as a phone), with the check inside."""
    inner = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    report = f"<script>{CHECK}parent.document.body.dataset['w' + innerWidth] = JSON.stringify(told);</script></body>"
    escaped = html.escape(inner.replace("</body>", report))
    frames = (f'<iframe srcdoc="{escaped}" style="border:0;width:{w}px;height:900px"></iframe>' for w in WIDTHS)
    path = folder / "frame.html"
    path.write_text(f'<!doctype html><body style="margin:0">{"".join(frames)}')
    return path


@pytest.mark.parametrize(("verdict", "scheme"), [("EDGE", "light"), ("NO EDGE", "dark")])
def test_it_fits_reads_and_answers(pages, tmp_path, verdict, scheme):
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    path = framed(pages[verdict], tmp_path)
    done = chromium(
        tmp_path, *dark, "--window-size=1280,900", "--virtual-time-budget=2000", "--dump-dom", path.as_uri()
    )
    assert console(done.stderr) == []
    for width in WIDTHS:
        found = re.search(rf'<body[^>]*data-w{width}="([^"]*)"', done.stdout)
        assert found, done.stderr[-2000:]
        told = json.loads(html.unescape(found[1]))
        assert told["dark"] == (scheme == "dark")
        assert told["scroll"] <= width
        assert told["wide"] == []
        assert told["small"] == []
        assert told["faint"] == []
        assert told["ready"] == len(told["tips"]) == {"EDGE": 6, "NO EDGE": 3}[verdict]
        for tip in told["tips"]:
            assert (tip["seen"], tip["inside"], tip["after"]) == ("visible", True, "hidden"), tip
            assert len(tip["text"]) > 10


@pytest.mark.parametrize(("verdict", "width"), [("EDGE", 390), ("NO EDGE", 1280)])
def test_it_is_drawn_without_a_word_on_the_console(pages, tmp_path, verdict, width):
    picture = tmp_path / "page.png"
    done = chromium(tmp_path, f"--window-size={width},1400", f"--screenshot={picture}", pages[verdict].as_uri())
    assert console(done.stderr) == []
    data = picture.read_bytes()
    assert struct.unpack(">II", data[16:24]) == (width, 1400)
    assert len(data) > 30_000  # not an empty sheet
