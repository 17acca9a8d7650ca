"""bf16 where a table says so, and nowhere else; the table is made once and all go by it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tradenas.errors import FolderError
from tradenas.nn import Layout, Mode, Network, half
from tradenas.nn.half import GAIN, HalfTable
from tradenas.space import Chain

BOTH = HalfTable(gains={("dense", 8, 64): 2.0, ("conv3", 8, 64): 2.0}, machine={})


def network(op="conv3", *, width=16, **options):
    space = Chain(
        depths=(2,), ops=(op,), widths=(width,), activations=("relu",), norms=("none",), dropouts=(0.0,),
        lookbacks=(5,), **options,
    ).space()  # fmt: skip
    made = Network(space, Layout(groups=("x",) * 8, transforms=("zscore",)), seed=1)
    with torch.no_grad():
        made.inputs.taps.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    return made


def said_and_learnt(one, table, rows=80):
    """Its signal, and the gradient of every weight."""
    one.halve(table, rows=rows)
    x_BTF = torch.randn(1, rows, 8, generator=torch.Generator().manual_seed(2))
    signal_BT = one(x_BTF, {}, Mode(training=True))
    one.zero_grad()
    signal_BT.square().mean().backward()
    return signal_BT.detach(), {name: p.grad.clone() for name, p in one.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("op", ["dense", "conv3", "conv5", "dilated3", "residual", "gated", "separable3"])
def test_layers_compute_the_same_up_to_the_digits_of_bf16(op):
    one = network(op)
    exact_BT, exact = said_and_learnt(one, None)
    rough_BT, rough = said_and_learnt(one, BOTH)
    assert rough_BT.dtype == torch.float32
    assert not torch.equal(exact_BT, rough_BT)
    torch.testing.assert_close(rough_BT, exact_BT, atol=0.03, rtol=0.03)
    assert rough.keys() == exact.keys()
    for name, gradient in exact.items():
        assert rough[name].dtype == torch.float32
        assert float((rough[name] - gradient).norm() / gradient.norm()) < 0.15, name


@pytest.mark.parametrize(
    ("gains", "rows"),
    [
        ({("dense", 8, 64): 2.0}, 80),  # of another op
        ({("conv3", 8, 64): GAIN - 0.01}, 80),  # too little
        ({("conv3", 32, 64): 2.0}, 80),  # wider
        ({("conv3", 8, 64): 2.0}, 60),  # more rows
        ({("conv3", 8, 64): 2.0, ("conv3", 16, 64): 0.9}, 80),  # the nearest one says no
    ],
)
def test_what_the_table_does_not_name_is_float32_to_the_bit(gains, rows):
    one = network("conv3")
    exact_BT, exact = said_and_learnt(one, None, rows)
    same_BT, same = said_and_learnt(one, HalfTable(gains=gains, machine={}), rows)
    assert torch.equal(exact_BT, same_BT)
    assert all(torch.equal(same[name], exact[name]) for name in exact)


def test_in_a_network_that_gains_layers_that_do_not_stay_in_float32():
    one = network("residual", width=32)
    one.halve(HalfTable(gains={("dense", 16, 64): 1.2, ("dense", 32, 64): 9.0}, machine={}), rows=80)
    ops = [layer.ops["residual"] for layer in one.layers]
    assert one.bf16
    assert [(op.inner.bf16, op.outer.bf16) for op in ops] == [(True, True), (True, True)]
    assert not one.heads["2"].bf16
    one.halve(HalfTable(gains={("dense", 16, 64): 1.1, ("dense", 32, 64): 9.0}, machine={}), rows=80)
    assert [(op.inner.bf16, op.outer.bf16) for op in ops] == [(False, True), (True, True)]
    one.halve(None)
    assert not any(getattr(m, "bf16", False) for m in one.modules())


def test_rounded_networks_stay_what_they_are():
    one = network("conv3", weight_bits=("4",), activation_bits=("8",))
    assert torch.equal(said_and_learnt(one, None)[0], said_and_learnt(one, BOTH)[0])


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """How often a table is measured, with a cache of its own."""
    calls = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(half, "measure", lambda: calls.append(1) or {("dense", 64, 1024): 1.234567})
    half.half_table.cache_clear()
    yield calls
    half.half_table.cache_clear()


def test_the_table_is_measured_once_for_a_machine_and_its_threads(counted, tmp_path):
    first = half.half_table(1)
    half.half_table.cache_clear()  # another process
    assert half.half_table(1) == first
    assert len(counted) == 1
    assert first.gains == {("dense", 64, 1024): 1.235}
    assert half.half_table(2).machine["threads"] == "2"
    assert len(counted) == 2
    assert len(list((tmp_path / "tradenas" / "bf16").iterdir())) == 2


def test_of_two_that_measure_at_once_the_first_decides(counted, monkeypatch):
    def slow():
        monkeypatch.setattr(half, "measure", lambda: {("dense", 64, 1024): 1.5})
        half.half_table.__wrapped__(1)
        return {("dense", 64, 1024): 3.0}

    monkeypatch.setattr(half, "measure", slow)
    assert half.half_table(1).gains == {("dense", 64, 1024): 1.5}


def test_a_foreign_file_is_refused(tmp_path):
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(FolderError, match="bf16 table"):
        HalfTable.load(tmp_path / "other.json")


def test_digest_is_of_what_is_decided():
    assert replace(BOTH, machine={"cpu": "other"}).digest == BOTH.digest
    assert replace(BOTH, gains={("dense", 8, 64): 1.0}).digest != BOTH.digest


def test_measuring_times_every_shape(monkeypatch):
    monkeypatch.setattr(half, "WIDTHS", (8,))
    monkeypatch.setattr(half, "ROWS", (64, 128))
    monkeypatch.setattr(half, "SHORTEST_S", 1e-4)
    gains = half.measure(rounds=1)
    assert set(gains) == {(op, 8, rows) for op in ("dense", "conv3") for rows in (64, 128)}
    assert all(0.0 < gain < 100.0 for gain in gains.values())
