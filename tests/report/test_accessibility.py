"""axe-core finds nothing wrong with the page, for a phone and a desk, light and dark; skipped where axe is not at hand.

npm pack axe-core && tar xzf axe-core-*.tgz && export AXE_CORE=$PWD/package/axe.min.js
"""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path

import pytest

from report import test_browser as browser
from report.fake_alphas import write_alphas
from report.fake_budget import with_budget
from report.fake_run import build
from tradenas.report.write import write_report

AXE = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js"))
RUN = (Path(__file__).parent / "axe.js").read_text()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.CHROMIUM is None, reason="no chromium on PATH nor at /usr/bin/chromium"),
    pytest.mark.skipif(not AXE.exists(), reason="no axe-core: set AXE_CORE to its axe.min.js"),
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    edge = with_budget(write_alphas(build(folder / "edge", days=120, num_points=20)))
    marked = build(folder / "marked", verdict="NO EDGE", days=120, num_points=20, watermark="second look")
    return {"edge": write_report(edge, png=False), "marked": write_report(marked, png=False)}


def examined(page: str, tmp_path: Path, *, dark: bool) -> dict[int, dict]:
    """What axe says of a page at each width."""
    axe = AXE.read_text(encoding="utf-8").replace("</script>", "<\\/script>")
    inner = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    inner = html.escape(inner.replace("</body>", f"<script>{axe}</script><script>{RUN}</script></body>"))
    frames = (f'<iframe srcdoc="{inner}" style="border:0;width:{w}px;height:900px"></iframe>' for w in browser.WIDTHS)
    path = tmp_path / "frame.html"
    path.write_text(f'<!doctype html><body style="margin:0">{"".join(frames)}')
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    done = browser.chromium(
        tmp_path, *scheme, "--window-size=1280,900", "--virtual-time-budget=60000", "--dump-dom", path.as_uri()
    )
    assert browser.console(done.stderr) == []
    told = {}
    for width in browser.WIDTHS:
        found = re.search(rf'<body[^>]*data-w{width}="([^"]*)"', done.stdout)
        assert found, done.stderr[-2000:]
        told[width] = json.loads(html.unescape(found[1]))
    return told


@pytest.mark.parametrize(("name", "dark"), [("edge", False), ("marked", True)])
def test_axe_finds_nothing(pages, tmp_path, name, dark):
    for told in examined(pages[name].read_text(), tmp_path, dark=dark).values():
        assert told["violations"] == []
        assert told["passes"] > 30


def test_axe_finds_what_is_wrong(pages, tmp_path):
    wrong = pages["edge"].read_text().replace('<html lang="en">', "<html>").replace("<th scope=", "<th title=")
    wrong = re.sub(r'<svg([^>]*) role="img" aria-label="[^"]*"', r'<svg\1 role="img"', wrong)
    for told in examined(wrong, tmp_path, dark=False).values():
        assert {"html-has-lang", "svg-img-alt"} <= {one["id"] for one in told["violations"]}
