"""The notebook in `examples/` runs from its first cell to its last, says what it says, and names no machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tradenas.formats.grid import check_exact
from tradenas.formats.lower import lower
from tradenas.nn import Layout, Network
from tradenas.study.config import read_config

NOTEBOOK = Path(__file__).parents[1] / "examples" / "first_study.ipynb"
QUICK = "bars, epochs, ranked = 2_400, 1, 4"


@pytest.fixture(scope="module")
def notebook():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def sources(notebook):
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_its_cells_run_with_quick_settings(notebook, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    tagged = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    for number, source in enumerate(sources(notebook)):
        quick = QUICK if source == "".join(tagged[0]["source"]) else source
        exec(compile(quick, f"cell {number}", "exec"), names)
    assert len(names["candles"]) == 2000
    assert {names["edge"].verdict, names["noise"].verdict} <= {"EDGE", "NO EVIDENCE", "NO EDGE"}
    assert "centred, row" in capsys.readouterr().out
    assert names["drawn"]["equity"]._repr_svg_().startswith("<svg")


def test_what_is_shown_is_what_it_claims(notebook):
    """The edge is found and the noise is not, every cell has run in order, and pictures and cards are there."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    shown = [output for cell in code for output in cell["outputs"]]
    assert not [o for o in shown if o["output_type"] == "error" or o.get("name") == "stderr"]
    cards = ["".join(o["data"]["text/html"]) for o in shown if "text/html" in o.get("data", {})]
    verdicts = [found[1] for card in cards if (found := re.search(r"<h3>([A-Z ]+)</h3>", card))]
    assert verdicts == ["EDGE", "NO EDGE"]
    assert sum("image/svg+xml" in o.get("data", {}) for o in shown) == 2


def test_it_is_small_and_names_no_machine():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert not re.findall(r"(?<![\w.<])/(?:tmp|work|root|usr|home|Users)/", text)


@pytest.mark.parametrize("file", sorted(NOTEBOOK.parent.glob("*.toml")), ids=lambda f: f.stem)
def test_studies_can_be_read(file):
    assert read_config(file).name


def test_the_circuit_of_the_example_is_as_large_as_it_says_and_exact():
    config = read_config(NOTEBOOK.parent / "fpga.toml")
    columns = config.columns
    space = config.space.space(columns)
    layout = Layout(groups=tuple(columns.values()), transforms=config.space.blocks, names=tuple(columns))
    network = Network(space, layout)
    for architecture in (space.smallest(), space.largest()):
        assert 2_000 < network.count(architecture).parameters < 2_500
        grids = check_exact(lower(network.standalone(architecture, seed=0)))
        assert grids[max(grids, key=lambda name: grids[name].fixed.bits)].fixed.bits <= 20
