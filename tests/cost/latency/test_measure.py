"""Measuring on a machine whose times are known: what the table must find, and when it must refuse."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from cost.latency.fake import CALL_NS, DEVICE, QUICK, Clock, FakeRuntime, FakeWoven, cells, chain, network
from tradenas.cost.devices import device
from tradenas.cost.latency import Latency, Measured, Table, measure
from tradenas.cost.latency.entries import Entries
from tradenas.cost.latency.fit import fit, relative_fit
from tradenas.cost.latency.measuring import draw_nets, make_runtime
from tradenas.cost.latency.plan import nodes
from tradenas.cost.latency.timing import Effort, rounds
from tradenas.errors import ConfigError, FolderError, SpaceError
from tradenas.nn import Layout, Network
from tradenas.seeds import rng_for
from tradenas.space import Chain

NET = network(chain())


def made(clock: Clock | None = None, net: Network = NET, **how: object) -> tuple[Measured, FakeRuntime]:
    clock = clock or Clock()
    given = {k: how.pop(k) for k in ("slow", "whole", "noise", "stream") if k in how}
    runtime = FakeRuntime(clock, **given)  # type: ignore[arg-type]
    return measure(net, DEVICE, effort=QUICK, runtime=runtime, clock=clock, draws=20, **how), runtime  # type: ignore[arg-type]


def errors(found: Measured) -> np.ndarray:
    return np.array([abs(p / c.measured_us - 1) for p, c in zip(found.predicted_us, found.checks, strict=True)])


@pytest.fixture(scope="module")
def plain() -> tuple[Measured, FakeRuntime]:
    return made(check=12)


def test_a_machine_of_sums_is_learnt_to_the_last_bit(plain: tuple[Measured, FakeRuntime]) -> None:
    found, _ = plain
    table = found.table
    assert errors(found).max() < 1e-6
    assert table.floor == 0.0
    assert table.error < 1e-6
    assert table.between_us is None  # nothing was worked out from anything else
    # The call is counted once: it is the constant, and no part holds it.
    assert table.fit.a * table.probe_us == pytest.approx(CALL_NS, rel=1e-6)
    assert (table.fit.b, table.fit.c) == (pytest.approx(1.0, rel=1e-6), pytest.approx(0.0, abs=1e-6))
    assert min(min(rows.values()) for rows in table.entries.times.values()) >= 0.0
    fitted = {json.dumps(n.architecture) for n in table.nets}
    assert not fitted & {json.dumps(n.architecture) for n in found.checks}


def test_coefficients_of_whole_networks_are_recovered() -> None:
    found, _ = made(whole=lambda total, parts: 500.0 + 1.3 * total + 40.0 * parts, check=6)
    fit, us = found.table.fit, found.table.probe_us
    assert (fit.a * us, fit.b, fit.c * us) == (pytest.approx(500.0), pytest.approx(1.3), pytest.approx(40.0))
    assert errors(found).max() < 1e-6


def test_parts_that_are_not_measured_hang_on_others() -> None:
    net = network(chain(ops=("dense", "conv3"), activations=("relu", "gelu", "tanh"), widths=(4, 8, 16)))
    every, one = made(net=net, check=6)
    few, other = made(net=net, check=6, most=60)
    assert other.built < 0.8 * one.built
    assert len(few.table.entries) < 0.7 * len(every.table.entries)
    assert errors(few).max() < 1e-6
    assert few.table.between_us is not None
    assert few.table.between_us < 1e-6


def test_few_parts_still_tell_every_network() -> None:
    net = network(chain(ops=("dense", "residual", "gated"), widths=(4, 8, 12, 16)))
    found, runtime = made(net=net, most=40, check=20)
    assert errors(found).max() < 1e-6
    latency, rng = Latency(net, found.table, runtime=runtime), rng_for(0, "few")
    for _ in range(30):
        assert latency.exact(net.space.sample(rng)) > 0.0


@pytest.mark.parametrize(("op", "error"), [("gated", 1e-6), ("residual", 0.02)])
def test_a_machine_of_sums_is_learnt_between_neighbours_too(op: str, error: float) -> None:
    """A choice of channels inside an op is not in its form, and costs something here."""
    net, clock = network(chain(ops=("dense", op), widths=(4, 8, 12, 16))), Clock()
    runtime = FakeWoven(clock)
    found = measure(net, DEVICE, effort=QUICK, most=40, check=20, runtime=runtime, clock=clock, draws=20)
    assert errors(found).max() < error
    latency, rng = Latency(net, found.table, runtime=runtime), rng_for(0, "woven")
    for _ in range(30):
        assert latency.exact(net.space.sample(rng)) > 0.0


def test_every_number_of_indicators_is_in_a_table_of_fronts_that_lie_in_blocks() -> None:
    """Whatever reads them: a recurrent cell wants closed channels in their places, a dense step leaves them out."""
    names, clock = tuple("abcdefghi"), Clock()
    space = Chain(
        depths=(1,), ops=("dense", "gru"), widths=(4, 8), activations=("relu",), norms=("none",), dropouts=(0.0,),
        lookbacks=(2, 4), groups=("g", "h", "k"),
    ).space(dict(zip(names, "gghhhkkkk", strict=True)))  # fmt: skip
    net = Network(space, Layout(groups=tuple("gghhhkkkk"), transforms=("zscore",), names=names))
    runtime = FakeWoven(clock)
    found = measure(net, DEVICE, effort=QUICK, most=30, runtime=runtime, clock=clock, draws=5)
    latency, rng = Latency(net, found.table, runtime=runtime), rng_for(0, "fronts")
    for _ in range(60):
        assert latency.exact(space.sample(rng)) > 0.0


@pytest.mark.parametrize("at", [0.1, 0.4, 0.7])
def test_a_machine_that_slows_down_is_told_by_the_probe(at: float, plain: tuple[Measured, FakeRuntime]) -> None:
    whole = plain[1].clock.now
    found, _ = made(slow=lambda now: 1.6 if now > at * whole else 1.0, check=12)
    assert errors(found).max() < 0.01
    for key, rows in found.table.entries.times.items():
        for r, t in rows.items():
            assert t == pytest.approx(plain[0].table.entries.times[key][r], rel=0.02, abs=0.02)


def test_every_round_visits_every_call() -> None:
    clock, seen = Clock(), list[int]()

    def call(k: int) -> None:
        seen.append(k)
        clock.now += 1000

    effort = Effort(rounds=4, slice_us=0.001, least=1, most=1, block=2)
    rounds([lambda k=k: call(k) for k in range(5)], lambda: call(-1), effort, clock=clock)  # type: ignore[misc]
    visits = [k for k, after in zip(seen, [*seen[1:], None], strict=True) if k != after]
    warm, turn = [-1, 0, 1, 2, 3, 4], [0, 1, -1, 2, 3, -1, 4, -1]
    assert visits == [*warm, -1, *turn, *turn, *turn, *turn]


def test_a_machine_that_is_not_steady_is_refused() -> None:
    def noise(calls: int) -> float:
        return 1.2 if calls >= 6 and (calls - 6) // 2 % 2 else 1.0  # every other round

    with pytest.raises(ConfigError, match=r"two halves of the measurement that differ by 18\.\d% \(load") as caught:
        made(noise=noise)
    assert "at most 5%" in str(caught.value)
    found, _ = made(noise=noise, accept=True)
    assert found.table.accepted
    assert found.table.floor == pytest.approx(2 * 0.2 / 2.2, rel=1e-3)


def test_a_table_is_refused_where_anything_differs(plain: tuple[Measured, FakeRuntime]) -> None:
    found, runtime = plain
    Latency(NET, found.table, runtime=runtime)
    conditions = found.table.conditions
    for name, other in {
        "cpu": "another", "threads": 2, "batch": 8, "precision": "int8", "mode": "stream", "backend": "c",
        "versions": {"onnxruntime": "0.1"}, "layout": [4, ["zscore"], 1],
    }.items():  # fmt: skip
        stale = dataclasses.replace(found.table, conditions=dataclasses.replace(conditions, **{name: other}))  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=rf"latency table: {name}: .*tradenas measure"):
            Latency(NET, stale, runtime=runtime)
    wider = network(chain(widths=(8, 16, 32)))
    with pytest.raises(ConfigError, match="latency table: space, layer0/width"):
        Latency(wider, found.table, runtime=runtime)
    smaller = Network(NET.space.restrict({"depth": [2], "layer0/width": [8]}), NET.layout)
    a = smaller.space.smallest()
    both = [Latency(net, found.table, runtime=runtime).exact(a) for net in (smaller, NET)]
    assert both[0] == both[1]


def test_a_file_holds_the_table(plain: tuple[Measured, FakeRuntime], tmp_path: Path) -> None:
    table, path = plain[0].table, tmp_path / "table.json"
    table.save(path)
    again = Table.load_file(path)
    assert again.entries.times == table.entries.times
    assert dataclasses.replace(again, entries=table.entries) == table
    path.write_text(path.read_text().replace("tradenas latency table 1", "another"))
    with pytest.raises(FolderError, match="another file"):
        Table.load_file(path)
    table.save(path)
    plain_text = json.loads(path.read_text())
    del plain_text["fit"]["a"]
    path.write_text(json.dumps(plain_text))
    with pytest.raises(FolderError, match="damaged"):
        Table.load_file(path)


def test_another_process_finds_how_much_slower_the_machine_is(
    plain: tuple[Measured, FakeRuntime],
) -> None:
    clock = Clock()
    runtime = FakeRuntime(clock, slow=lambda now: 1.4)
    latency = Latency(NET, plain[0].table, runtime=runtime)
    a = NET.space.largest()
    before = latency.exact(a)
    for nets in (3, 0):
        assert latency.rescale(nets=nets, effort=QUICK, clock=clock) == pytest.approx(1.4, rel=1e-6)
        assert latency.exact(a) == pytest.approx(1.4 * before, rel=1e-6)
    assert latency.p99(a) == pytest.approx(latency.exact(a) * plain[0].table.p99)


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(ConfigError, match="expected one of c, onnxruntime, eager"):
        make_runtime(device("cpu-1core"), "cuda")
    with pytest.raises(ConfigError, match="tradenas export --format verilog"):
        make_runtime(device("fpga-ice40"))
    tiny = network(chain(depths=(1,), ops=("dense",), widths=(8,), activations=("relu",), norms=("none",)))
    with pytest.raises(ConfigError, match="a space of 2 architectures"):
        draw_nets(tiny, 10, seed=0)


def test_between_rows_and_channels() -> None:
    entries = Entries({("a", 8, 8): {1: 5.0, 3: 1.0, 7: 3.0}, ("a", 16, 8): {1: 7.0, 3: 2.0, 7: 4.0}})
    assert entries("a", 8, 8, 1) == 5.0
    assert entries("a", 8, 8, 5) == pytest.approx(2.0)
    assert entries("a", 8, 8, 9) == pytest.approx(4.0)
    assert entries("a", 12, 8, 3) == pytest.approx(1.5)
    with pytest.raises(SpaceError, match="the part 'b' from 8 to 8 channels"):
        entries("b", 8, 8, 1)
    tied = Entries({("d", 8, 8): {1: 1.0}, ("d", 24, 24): {1: 2.0}})
    assert tied("d", 16, 16, 1) == pytest.approx(1.5)
    product = Entries({("p", 8, 8): {1: 1.0}, ("p", 24, 24): {1: 9.0}, ("p", 24, 8): {1: 3.0}, ("p", 8, 16): {1: 2.0}})
    assert product("p", 16, 8, 1) == pytest.approx(2.0)
    with pytest.raises(SpaceError, match="from 16 to 16"):  # a square between two squares is no line
        product("p", 16, 16, 1)
    hung = {("a", 8, 8): 1.0, ("a", 16, 8): 2.0, ("b", 8, 8): 5.0, ("b > r", 8, 8): 5.5}
    both = Entries({key: {1: t} for key, t in hung.items()})
    assert both("a > r", 16, 8, 1) == pytest.approx(2.5)  # what follows, seen behind another step
    assert both("a > r", 12, 8, 1) == pytest.approx(2.0)  # and between two widths
    assert nodes({1, 4}, 0) == (1, 4)


def test_cells_too() -> None:
    found, _ = made(net=network(cells()), check=6)
    assert errors(found).max() < 1e-6


def test_coefficients_of_noisy_networks_stay_near_those_of_a_sum() -> None:
    rng, off = rng_for(0, "fit"), {"drawn": [], "plain": []}  # type: ignore[var-annotated]
    for _ in range(30):
        totals, parts = rng.uniform(1.0, 5.0, 10), rng.integers(3, 9, 10)
        measured = (2.0 + totals) * rng.normal(1.0, 0.15, 10)
        found = fit(totals.tolist(), parts.tolist(), measured.tolist(), call=2.0)
        a, b, c = relative_fit([totals.tolist(), parts.tolist()], measured.tolist())
        new, numbers = rng.uniform(1.0, 5.0, 50), rng.integers(3, 9, 50)
        off["drawn"].append(np.mean(abs(found.a + found.b * new + found.c * numbers - 2.0 - new)))
        off["plain"].append(np.mean(abs(a + b * new + c * numbers - 2.0 - new)))
    assert np.mean(off["drawn"]) < 0.8 * np.mean(off["plain"])
