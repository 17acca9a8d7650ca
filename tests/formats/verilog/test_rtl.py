"""What Verilator, yosys and nextpnr say of the Verilog; without the tools, how that is said."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from formats.verilog.programs import PROGRAMS, deep, rows
from tradenas.errors import ExportError, ParityError
from tradenas.formats.program import Concat, Input, Program, Taps
from tradenas.formats.verilog import tools
from tradenas.formats.verilog.export import gzipped
from tradenas.formats.verilog.prove import routed, simulated, synthesised
from tradenas.formats.verilog.simulate import simulate
from tradenas.formats.verilog.synthesise import synthesise
from tradenas.formats.verilog.vectors import decoded, input_lines, output_lines
from tradenas.formats.verilog.write import RESOURCES, design, write

pytest.importorskip("da4ml", reason="da4ml is not installed; run: pip install 'tradenas[fpga]'")

NO_SIMULATOR = tools.missing("verilator", "make", "g++")
NO_YOSYS, NO_ROUTER = tools.missing("yosys"), tools.missing("yosys", "nextpnr-ice40")


def every() -> Program:
    """All the little programs as one: their signals are added up after each was rounded by itself."""
    steps, signals = [Input(name="x", channels=4)], []
    for key, make in PROGRAMS.items():
        program = make()
        named = {s.name: f"{key}/{s.name}" for s in program.steps[1:]} | {"x": "x"}
        steps += [replace(s, name=named[s.name], reads=tuple(named[n] for n in s.reads)) for s in program.steps[1:]]
        signals.append(named[program.output])
    steps.append(Concat(name="all", reads=tuple(signals), channels=len(signals)))
    weight = 2.0 ** np.arange(len(signals))[None, :, None]  # a wrong bit of one cannot hide behind another
    steps.append(Taps(name="y", reads=("all",), channels=1, weight=weight, bias=np.zeros(1), at=(0,)))
    return Program(steps=tuple(steps), output="y", columns=(0, 1, 2, 3))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(bool(NO_SIMULATOR), reason=NO_SIMULATOR)
def test_every_step_in_simulation(tmp_path):
    made = design(every())
    found = simulated(write(made, tmp_path, rows(2_000)))
    assert (found.compared, found.wrong) == (2_000 - made.traced.program.reach + 1, 0)
    assert found.distinct > 1_000
    assert json.loads((tmp_path / RESOURCES).read_text())["simulated"]["by"] == "verilator"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(bool(NO_SIMULATOR), reason=NO_SIMULATOR)
def test_the_window_core_in_simulation(tmp_path):
    made = design(PROGRAMS["products"](), streaming=False)
    found = simulated(write(made, tmp_path, rows(400)))
    assert found.wrong == 0
    assert found.distinct > 100


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(bool(NO_SIMULATOR), reason=NO_SIMULATOR)
def test_a_small_net_through_simulation_and_synthesis(tmp_path):
    """What continuous integration runs; one bit of one weight flipped is found."""
    made = design(deep())
    write(made, tmp_path, rows(500))
    assert simulated(tmp_path).distinct > 50
    if not NO_YOSYS:
        found = synthesised(made, tmp_path, "ice40")
        assert found.parts["dsp"] == found.parts["bram"] == 0
        assert 0.5 < found.parts["luts"] / made.traced.estimated_luts < 2.0
    core = tmp_path / "core.v"
    text = core.read_text()
    adder = next(m for m in re.finditer(r"shift_adder #\((\d+, \d+, \d, \d, \d+, -?\d+, )0\)", text))
    core.write_text(text[: adder.start()] + f"shift_adder #({adder[1]}1)" + text[adder.end() :])
    with pytest.raises(ParityError, match="outputs differ"):
        simulate(tmp_path).demand()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(bool(NO_ROUTER), reason=NO_ROUTER)
def test_a_small_net_is_placed_and_routed(tmp_path):
    made = design(PROGRAMS["relu"]())
    write(made, tmp_path, rows(50))
    synthesised(made, tmp_path, "xc7")
    best = routed(made, tmp_path, synthesised(made, tmp_path, "ice40"), seeds=(1, 2))
    told = json.loads((tmp_path / RESOURCES).read_text())
    assert told["placed_and_routed"]["seeds_tried"] == 2
    assert 20 < best.megahertz < 400
    assert told["routing_modelled"]["megahertz"] < told["routing_modelled"]["logic_only_megahertz"]
    assert told["synthesised"]["dsp"] == 0


def test_a_flipped_weight_is_another_core():
    program = deep()
    before = design(program).core.verilog
    step = next(s for s in program.steps if isinstance(s, Taps))
    step.weight[0, 0, 0] += 0.125
    assert design(program).core.verilog != before


def test_a_folder_holds_what_a_user_needs(tmp_path):
    made = design(deep())
    write(made, tmp_path, rows(100))
    assert {p.name for p in tmp_path.iterdir()} == {
        "core.v", "top.v", "tb.v", "static", "LICENCE.txt", "rows.hex", "expected.hex", RESOURCES,
    }  # fmt: skip
    assert "Lesser General Public" in (tmp_path / "LICENCE.txt").read_text()
    told = json.loads((tmp_path / RESOURCES).read_text())
    assert told["mode"] == "streaming"
    assert told["cycles"] == made.core.stages + 1
    assert told["x"][-1]["bits"][0] + 1 == made.wrapped.input_bits
    assert gzipped(tmp_path) < 20_000


def test_vectors_are_the_numbers():
    made = design(deep())
    traced, wrapped = made.traced, made.wrapped
    lines = input_lines(traced, rows(30))
    assert len(lines) == 30
    assert {len(line) for line in lines} == {-(-wrapped.input_bits // 4)}
    x = np.array([-1.5, 0.0, 2.25])
    words = output_lines(x, 10, 0.25)
    np.testing.assert_array_equal(decoded(words, 10, signed=True, step=0.25), x)


def test_more_stages_are_shorter_ones():
    one, four = design(deep(), stages=1).core, design(deep(), stages=4).core
    assert (one.stages, four.stages) == (1, 4)
    assert four.period < one.period / 2
    assert one.registers == 0 < four.registers


def test_a_missing_tool_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"apt-get install yosys.*make fpga-tools"):
        synthesise(tmp_path, "xc7")
    assert tools.missing("verilator", "nextpnr-ice40") == (
        "nextpnr-ice40, verilator not installed; run: apt-get install nextpnr-ice40 verilator"
    )


def test_a_failing_tool_shows_its_last_words(tmp_path):
    script = tmp_path / "tool"
    script.write_text("#!/bin/sh\necho first; echo the reason >&2; exit 3\n")
    script.chmod(0o755)
    with pytest.raises(ExportError, match=r"exit code 3: first \| the reason"):
        tools.run([str(script)], tmp_path, seconds=5)
    script.write_text("#!/bin/sh\nexec sleep 5\n")
    with pytest.raises(ExportError, match="still at work after"):
        tools.run([str(script)], tmp_path, seconds=0.2)
