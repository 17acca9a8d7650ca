"""Puts a real run into the README: its verdict box, and docs/report.png, the first screen of its report.

    make demo && .venv/bin/python scripts/readme_run.py runs/sp500-xxxxxxxx

Needs a chromium on the PATH for the picture; without one only the box is written.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tradenas.report import VerdictBox, load_record

ROOT = Path(__file__).resolve().parents[1]
SIZE = (1180, 1500)
COLOURS = 64


def box(folder: Path) -> str:
    """What the terminal shows, 80 columns wide."""
    page = Path("runs") / folder.name / "report" / "index.html"
    console = Console(width=80, file=io.StringIO(), color_system=None, record=True)
    console.print(VerdictBox(load_record(folder), page=page))
    return console.export_text().rstrip()


def picture(page: Path, target: Path) -> None:
    """A screenshot with few colours: a page of text needs no more, and the file stays small."""
    from PIL import Image

    chromium = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if chromium is None:
        print("no chromium: docs/report.png stays as it is")
        return
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        subprocess.run(
            [
                chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--window-size={SIZE[0]},{SIZE[1]}", f"--screenshot={shot}", page.resolve().as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        Image.open(shot).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


def main(folder: Path) -> int:
    """Writes both."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    new = f"<!-- box: written by scripts/readme_run.py -->\n```\n{box(folder)}\n```\n<!-- end of box -->"
    readme.write_text(
        re.sub(r"<!-- box:.*?<!-- end of box -->", lambda _: new, text, flags=re.DOTALL), encoding="utf-8"
    )
    picture(folder / "report" / "index.html", ROOT / "docs" / "report.png")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
