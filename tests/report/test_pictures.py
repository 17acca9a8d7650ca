"""The page's pictures as files: whole by themselves, marked where the run is, inert to hostile text, and not blank."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from importlib.resources import files
from xml.etree import ElementTree as ET

import pytest

from report.fake_alphas import write_alphas
from report.fake_run import build
from tradenas.errors import MissingExtra
from tradenas.report.html import render
from tradenas.report.pictures import _classes, pictures_of, rasteriser
from tradenas.report.record import load_record
from tradenas.report.write import write_report

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script>\"'&amp;]]>\x1b[31m"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_alphas(build(tmp_path_factory.mktemp("run") / "r", days=100, num_points=12))


@pytest.fixture(scope="module")
def record(folder):
    return load_record(folder)


@pytest.fixture(scope="module")
def found(record):
    return pictures_of(record)


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter(f"{SVG}text")]


def test_every_picture_of_the_page_is_there_once(record, found):
    page = render(record)
    shown = re.findall(r'<svg[^>]*role="img"[^>]*>', page)
    for_phones = page.count('<div class="narrow">')
    assert len(found) == len(shown) - for_phones > 10
    assert len({picture.name for picture in found}) == len(found)
    assert {"equity", "drawdown", "strategies", "costs", "architecture", "coupling-1"} <= {p.name for p in found}


def test_a_picture_stands_by_itself(found):
    for picture in found:
        root = ET.fromstring(picture.svg)
        assert root.tag == f"{SVG}svg"
        assert root[0].tag == f"{SVG}title"
        assert root[0].text == picture.title == texts(picture.svg)[-4 if "Marked" in picture.svg else -3]
        assert not re.search(r"var\(|url\(|@import|href|<script|color-mix", picture.svg)
        x, y, width, height = (float(n) for n in root.get("viewBox").split())
        assert (float(root.get("width")), float(root.get("height"))) == (width, height)
        sheet = root.find(f"{SVG}rect")
        assert sheet.get("fill") == "#ffffff"
        assert [float(sheet.get(k)) for k in ("x", "y", "width", "height")] == [x, y, width, height]


def test_every_class_that_the_page_colours_is_coloured(found):
    css = (files("tradenas.report") / "static" / "page.css").read_text()
    for picture in found:
        rules = re.search(r"<style>(.*?)</style>", picture.svg)[1]
        for name in _classes(picture.svg.split("</style>")[1]):
            if re.search(rf"^svg (?:\w+)?\.{re.escape(name)} ?[,{{]", css, re.MULTILINE):
                assert re.search(rf"\.{re.escape(name)}(?![\w-])", rules), (picture.name, name)
    equity = next(p.svg for p in found if p.name == "equity")
    assert "svg .curve.champion{stroke: #0f5499;" in equity
    assert ".node" not in equity  # rules of other pictures stay away


def test_the_number_of_trials_and_the_verdict_go_with_it(record, found):
    for picture in found:
        foot = texts(picture.svg)[-1]
        assert record.folder.name in foot
        assert "EDGE · 212 trials counted" in foot


def test_a_notebook_shows_it(found):
    assert found[0]._repr_svg_() == found[0].svg
    assert len(repr(found[0])) < 100


def test_a_watermark_goes_with_every_picture(record, found):
    marked = replace(record, verdict=replace(record.verdict, watermark="second look"))
    assert all("Marked: second look" in texts(p.svg) for p in pictures_of(marked))
    assert not any("Marked" in p.svg for p in found)


def test_hostile_text_stays_text(tmp_path):
    names = {"finalist-1": HOSTILE, "hold": HOSTILE + "2"}
    folder = build(tmp_path / "r", days=40, num_points=5, symbol=HOSTILE, names=names, watermark=HOSTILE)
    for picture in pictures_of(load_record(folder)):
        root = ET.fromstring(picture.svg)
        assert not list(root.iter(f"{SVG}script"))
        assert "\x1b" not in picture.svg
        assert any(text.startswith("Marked: <script>alert(1)") for text in texts(picture.svg))


def test_files_are_written_and_old_ones_go(folder, found):
    figures = write_report(folder, png=False).parent / "figures"
    assert {p.name for p in figures.iterdir()} == {f"{p.name}.svg" for p in found}
    (figures / "gone.png").write_bytes(b"old")
    (figures / "mine.txt").write_text("kept")
    before = (figures / "equity.svg").read_bytes()
    write_report(folder, png=False)
    assert not (figures / "gone.png").exists()
    assert (figures / "mine.txt").exists()
    assert (figures / "equity.svg").read_bytes() == before
    (figures / "mine.txt").unlink()


def test_png_without_a_rasteriser_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'tradenas[report]'")):
        write_report(folder, png=True)
    figures = write_report(folder).parent / "figures"
    assert not list(figures.glob("*.png"))
    assert list(figures.glob("*.svg"))


def test_png_where_there_is_one(folder, found, monkeypatch):
    pytest.importorskip("resvg_py", reason="resvg_py (extra `report`) is not installed")
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    np = pytest.importorskip("numpy")
    raster = rasteriser()
    whole = next(p.svg for p in found if p.name == "drawdown")
    picture = np.asarray(image.open(io.BytesIO(raster(whole))).convert("RGB"))
    root = ET.fromstring(whole)
    assert picture.shape[:2] == (round(2 * float(root.get("height"))), round(2 * float(root.get("width"))))
    assert (picture[0, 0] == 255).all()
    champion = np.array([0x0F, 0x54, 0x99])
    assert (np.abs(picture.astype(int) - champion).sum(axis=2) == 0).any()  # colours came along
    words = re.sub(r"<(path|line|circle|g)\b[^>]*/>", "", whole)
    silent = re.sub(r"<text\b.*?</text>", "", words)
    ink = np.asarray(image.open(io.BytesIO(raster(words))).convert("L"))
    bare = np.asarray(image.open(io.BytesIO(raster(silent))).convert("L"))
    if not (ink != bare).any():
        pytest.skip("no font on this machine")
    assert (ink != bare).sum() > 2000  # letters, not a dot or two
    monkeypatch.setattr("tradenas.report.write.pictures_of", lambda record: found[:1])
    figures = write_report(folder, png=True).parent / "figures"
    assert {p.name for p in figures.iterdir()} == {f"{found[0].name}.svg", f"{found[0].name}.png"}
