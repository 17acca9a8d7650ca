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
from report.fake_run import build

from tradenas.report.write import write_report

CHROMIUM = next(
    (path for path in (shutil.which("chromium"), "/usr/bin/chromium") if path and Path(path).exists()), None
)
WIDTHS = (390, 1280)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr",
)  # fmt: skip
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH nor at /usr/bin/chromium")

CHECK = """
const told = { width: innerWidth, scroll: document.documentElement.scrollWidth, ready: 0, wide: [], small: [] };
told.ready = document.querySelectorAll('.plot[data-ready="yes"]').length;
for (const node of document.querySelectorAll("main *")) {
  const box = node.getBoundingClientRect();
  if (box.right > innerWidth + 1 && !node.closest(".scroll, pre")) told.wide.push(node.tagName + "." + node.getAttribute("class"));
}
for (const text of document.querySelectorAll("svg text")) {
  if (!text.getClientRects().length) continue;
  const svg = text.ownerSVGElement;
  if (!svg.viewBox.baseVal || !svg.viewBox.baseVal.width) continue;
  const size = parseFloat(getComputedStyle(text).fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  if (size < 10.5) told.small.push(text.textContent + " " + size);
}
const tips = [];
for (const plot of document.querySelectorAll(".plot[data-mode]")) {
  plot.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  const tip = plot.querySelector(".tip"), a = tip.getBoundingClientRect(), b = plot.getBoundingClientRect();
  tips.push({ seen: getComputedStyle(tip).visibility, text: tip.textContent, inside: a.left >= b.left - 1 && a.right <= b.right + 1 });
  plot.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
  tips.at(-1).after = getComputedStyle(tip).visibility;
}
told.tips = tips;
const lum = (c) => { const v = c.match(/[0-9.]+/g).slice(0, 3).map((x) => x / 255).map((x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)); return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
const paper = lum(getComputedStyle(document.body).backgroundColor);
told.faint = [];
for (const node of document.querySelectorAll("main *, header *, nav *, footer *")) {
  if (!node.getClientRects().length || ![...node.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim())) continue;
  const style = getComputedStyle(node), own = lum(node.closest("svg") && node.tagName === "text" ? style.fill : style.color);
  const ratio = (Math.max(own, paper) + 0.05) / (Math.min(own, paper) + 0.05);
  if (ratio < 4.5) told.faint.push(node.tagName + "." + node.getAttribute("class") + " " + ratio.toFixed(2));
}
told.dark = matchMedia('(prefers-color-scheme: dark)').matches;
"""


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
    """An edge with a hostile name in it, and no edge."""
    strange = {"finalist-1": "<script>console.error('ran')</script> a finalist with a long name"}
    folder = tmp_path_factory.mktemp("run")
    return {
        "EDGE": write_report(build(folder / "a", names=strange, days=250, num_points=40)),
        "NO EDGE": write_report(
            build(folder / "b", verdict="NO EDGE", days=250, num_points=40, watermark="second look")
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
        assert told["ready"] == len(told["tips"]) == 3
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
