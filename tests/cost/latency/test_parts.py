"""Cutting programs into parts, and what is measured for the time of each."""

from __future__ import annotations

import pytest

from cost.latency.fake import CALL_NS, Clock, FakeRuntime, cells, chain, network
from tradenas.cost.latency.parts import cut
from tradenas.cost.latency.runtimes import program_of
from tradenas.cost.latency.samples import Sample, sample_program
from tradenas.formats.program import Program
from tradenas.nn import Network
from tradenas.seeds import rng_for
from tradenas.space import SearchSpace


def drawn(net: Network, number: int = 12) -> list[Program]:
    rng = rng_for(0, "parts")
    return [program_of(net.standalone(net.space.sample(rng), seed=0)) for _ in range(number)]


@pytest.mark.parametrize("space", [chain(ops=("dense", "gated", "residual", "attention", "gru")), cells()])
def test_every_step_is_in_one_part_with_the_rows_that_are_read_of_it(space: SearchSpace) -> None:
    for program in drawn(network(space)):
        rows, found = program.rows(), cut(program)
        own = [p for p in found if p.part.form != "trim"]
        assert sum(len(p.part.steps) for p in own) == sum(bool(n) for n in rows.values())
        for placed in own:
            assert placed.rows == rows[placed.owner]
        for trim in found:
            if trim.part.form == "trim":
                assert any(rows[name] > trim.rows for name in program[trim.owner].reads)


def test_norm_and_activation_belong_to_the_step_before_them() -> None:
    net = network(chain(depths=(1,), ops=("conv3",), activations=("gelu",), norms=("layer",), widths=(8,)))
    forms = [p.part.form for p in cut(drawn(net, 1)[0])]
    assert forms[0].startswith("front input, depthwise 0-")
    assert forms[1:] == ["taps 0-2 > norm > gelu", "taps 0"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "space",
    [
        chain(),
        chain(ops=("gated", "residual", "conv5")),
        chain(ops=("attention", "gru", "dense"), widths=(8,)),
        cells(),
        cells(ops=("skip", "ema4", "separable3")),
    ],
)
def test_parts_add_up_to_the_network_with_the_call_counted_once(space: SearchSpace, stream: bool) -> None:
    net, runtime = network(space), FakeRuntime(Clock(), stream=stream)
    rng = rng_for(1, "parts")
    for _ in range(8):
        alone = net.standalone(net.space.sample(rng), seed=0)
        parts, total, naive = runtime.parts(alone), 0.0, 0.0
        for placed in parts:
            for sample, factor in runtime.recipe(placed.part, placed.rows).items():
                ns = CALL_NS + runtime.total(sample_program(sample, stream=stream))
                total += factor * ns
                naive += ns * (sample.what == "part")
        own = runtime.total(program_of(alone))
        assert total == pytest.approx(own, rel=1e-9)
        assert naive > own + CALL_NS * sum(p.part.form != "trim" for p in parts)


def test_a_sample_reads_and_makes_the_rows_that_it_is_asked_for() -> None:
    net = network(chain(depths=(1,), ops=("conv3",), widths=(8,)))
    conv = cut(drawn(net, 1)[0])[1].part
    program = sample_program(Sample("part", conv, 7))
    assert program.rows()[conv.steps[-1].name] == 7
    assert program.reach == 9
    assert sample_program(Sample("trim", conv, 5)).reach == 9
    assert sample_program(Sample("whole", conv, 9)).reach == 9
