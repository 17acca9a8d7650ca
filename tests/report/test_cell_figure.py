"""The drawing of a cell: its live edges with their ops, nothing else, inside the sheet."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from tradenas.report.figures.architecture import draw
from tradenas.seeds import rng_for
from tradenas.space import Cell

CELL = Cell(nodes=4, ops=("zero", "skip", "dense", "ema12", "difference"), cells=(1, 3))


@pytest.mark.parametrize("width", [320, 900])
@pytest.mark.parametrize("seed", range(4))
def test_it_shows_what_lives(width, seed):
    a = CELL.space().sample(rng_for(seed, "drawing"))
    live = CELL.graph.live_edges(a)
    svg = str(draw({k: list(v) if isinstance(v, tuple) else v for k, v in a.items()}, width=width))
    root = ET.fromstring(svg)
    texts = [t.text for t in root.iter() if t.tag.endswith("text") and t.text]
    assert sorted(t for t in texts if t in CELL.ops) == sorted(e.op for e in live)
    assert sum(t.startswith("node ") for t in texts) == len(CELL.graph.live_nodes(a))
    assert f"{a['cells']} cell" in root.attrib["aria-label"]
    view = [float(n) for n in root.attrib.get("viewBox", root.attrib.get("viewbox", "")).split()]
    for path in root.iter():
        numbers = re.findall(r"-?[\d.]+", path.attrib.get("d", "").split("l")[0])
        xs, ys = [float(n) for n in numbers[::2]], [float(n) for n in numbers[1::2]]
        assert all(0 <= x <= view[2] for x in xs)
        assert all(0 <= y <= view[3] for y in ys)


def test_a_cell_that_passes_nothing_is_drawn_too():
    space = CELL.space()
    silent = space.walk(lambda c: c.options[0] if c.take == 1 else c.options[: c.take])
    svg = str(draw(dict(silent), width=400))
    assert "edges none" in svg
    assert "cell before" in svg
