"""Cutting programs into parts, and what is measured for the time of each."""

from __future__ import annotations

import pytest

from cost.latency.fake import CALL_NS, Clock, FakeRuntime, FakeWoven, cells, chain, network
from tradenas.cost.latency.enumerate import numbers_open
from tradenas.cost.latency.parts import cut
from tradenas.cost.latency.runtimes import program_of
from tradenas.cost.latency.samples import Sample, sample_program
from tradenas.formats.program import Program
from tradenas.nn import Layout, Network
from tradenas.seeds import rng_for
from tradenas.space import Chain, SearchSpace


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


@pytest.mark.parametrize("kind", [FakeRuntime, FakeWoven])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "space",
    [
        chain(),
        chain(ops=("gated", "residual", "conv5")),
        chain(ops=("attention", "gru", "dense", "mingru4"), widths=(8,)),
        cells(),
        cells(ops=("skip", "ema4", "separable3")),
    ],
)
def test_parts_add_up_to_the_network_with_the_call_counted_once(
    space: SearchSpace, stream: bool, kind: type[FakeRuntime]
) -> None:
    net, runtime = network(space), kind(Clock(), stream=stream)
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


@pytest.mark.parametrize("space", [chain(ops=("gated", "residual", "attention")), chain(ops=("gated", "residual"))])
def test_an_op_whose_branches_meet_is_one_part(space: SearchSpace) -> None:
    """With what follows it; the others stay as they are, and every step is still in one part."""
    seen: set[str] = set()
    for program in drawn(network(space), 30):
        rows = program.rows()
        parts, apart = cut(program, woven=True), cut(program)
        assert sum(len(p.part.steps) for p in parts) == sum(len(p.part.steps) for p in apart)
        for placed in parts:
            if placed.part.form != "trim":
                assert placed.rows == rows[placed.owner]
        seen |= {p.part.form.partition(" > ")[0] for p in parts}
        assert not any(form.startswith(("multiply", "crop")) for form in seen)
    assert {"taps 0, taps 0, sigmoid, multiply", "taps 0, relu, taps 0, add 2"} <= seen


def test_cells_are_not_woven() -> None:
    """Values there are read by several, each of which would bring a neighbour of its own."""
    net, woven, plain = network(cells()), FakeWoven(Clock()), FakeRuntime(Clock())
    for k in range(5):
        alone = net.standalone(net.space.sample(rng_for(k, "cells")), seed=0)
        assert [p.part for p in woven.parts(alone)][1:] == [p.part for p in plain.parts(alone)][1:]  # but the front


def test_numbers_of_open_indicators_that_lie_alike_have_their_ends() -> None:
    space = Chain(
        depths=(1,), widths=(4,), ops=("dense",), norms=("none",), lookbacks=(2, 5),
        features=tuple(f"i{k}" for k in range(9)),
    ).space({f"i{k}": "returns" for k in range(9)})  # fmt: skip
    names = tuple(f"i{k}" for k in range(9))
    net = Network(space, Layout(groups=("returns",) * 9, transforms=("zscore",), names=names))
    found = list(numbers_open(net, lambda n: "few" if n < 3 else "many"))
    assert len(found) == len(set(found)) == 10
    assert {(net.inputs.count(a)[0], a["input/lookback"]) for a in found} == {
        (n, lookback) for n in (1, 2, 3, 6, 9) for lookback in (2, 5)
    }
    assert not list(numbers_open(net, lambda n: ""))
