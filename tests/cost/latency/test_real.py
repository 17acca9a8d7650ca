"""One small measurement on this very machine, with bounds that a busy one meets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cost.latency.fake import cells, chain, network
from tradenas.cost.devices import Device, device
from tradenas.cost.latency import Eager, Effort, Latency, Measured, Table, measure
from tradenas.cost.latency.cuda import GraphTimer
from tradenas.errors import ConfigError
from tradenas.nn.mixture import hard
from tradenas.seeds import rng_for
from tradenas.space import Architecture

NET = network(chain(depths=(1, 2), ops=("dense", "conv3"), activations=("relu",), norms=("none",), widths=(8, 64)))
#: Some milliseconds a call.
BRIEF = Effort(rounds=8, slice_us=150.0, least=5, most=40)

#: Every call a few times: for what does not hang on the times.
ONCE = Effort(rounds=4, slice_us=1.0, least=1, most=1)


def near(found: Measured, path: Path) -> None:
    """Large networks are told from small ones, in the right units, after a way through a file as well."""
    y, p = np.array([c.measured_us for c in found.checks]), np.array(found.predicted_us)
    assert np.median(abs(p / y - 1)) < 0.3
    assert np.corrcoef(p, y)[0, 1] > 0.5
    found.table.save(path)
    latency = Latency(NET, Table.load_file(path))
    small, large = latency.exact(NET.space.smallest()), latency.exact(NET.space.largest())
    assert 0.0 < small < large
    assert latency.p99(NET.space.smallest()) > small
    before = latency.exact(NET.space.largest())
    factor = latency.rescale(effort=BRIEF, accept=True)
    assert 0.1 < factor < 10.0
    assert latency.exact(NET.space.largest()) == pytest.approx(factor * before)


def test_onnx_runtime(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="pip install 'tradenas[onnx]'")
    pytest.importorskip("onnxruntime", reason="pip install 'tradenas[onnx]'")
    told = list[tuple[int, int]]()
    found = measure(
        NET, device("cpu-1core"), "onnxruntime", effort=BRIEF, check=6, accept=True, draws=10,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    near(found, tmp_path / "table.json")
    assert told[-1][0] == told[-1][1]
    assert found.table.conditions.versions.keys() == {"tradenas", "onnxruntime", "onnx"}
    assert found.table.load[0] >= 0.0


def test_onnx_runtime_row_by_row(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="pip install 'tradenas[onnx]'")
    pytest.importorskip("onnxruntime", reason="pip install 'tradenas[onnx]'")
    rows = Device(name="rows", kind="cpu", words="", backends=("onnxruntime",), mode="stream")
    near(measure(NET, rows, effort=BRIEF, check=6, accept=True, draws=10), tmp_path / "table.json")
    stored = Table.load_file(tmp_path / "table.json")
    assert stored.conditions.mode == "stream"
    assert {r for at in stored.entries.times.values() for r in at} == {1}


def test_torch_as_it_is(tmp_path: Path) -> None:
    net = network(chain(depths=(1, 2), ops=("dense", "gru"), activations=("relu",), norms=("batch",), widths=(8, 16)))
    found = measure(net, device("cpu-1core"), "eager", effort=ONCE, accept=True, draws=5)
    latency = Latency(net, found.table)
    forms = {form for form, _, _ in found.table.entries.times}
    assert forms == {"front inputs 3", "front inputs 6", "dense > batch > relu", "gru > batch", "dense"}
    base = {"input/lookback": 6, "input/transform": "zscore", "depth": 1, "layer0/width": 16, "layer0/norm": "batch"}
    after = {"layer0/dropout": 0.0}
    gru, dense = base | {"layer0/op": "gru"} | after, base | {"layer0/op": "dense", "layer0/activation": "relu"} | after
    assert latency.exact(net.space.check(gru)) > 0.0 < latency.exact(net.space.check(dense))
    for a in (gru, dense):
        assert float(latency.expected(hard(net.space, Architecture(a)))) == pytest.approx(latency.exact(a), rel=0.3)
    with pytest.raises(ConfigError, match="expected window: it remembers nothing"):
        Eager(stream=True)
    with pytest.raises(ConfigError, match="precision of eager: got int8"):
        Eager(precision="int8")


def test_torch_as_it_is_on_cells() -> None:
    net = network(cells(norms=("layer",), cells=(1, 2), inputs=1, ops=("conv3", "skip")))
    found = measure(net, device("cpu-1core"), "eager", effort=ONCE, accept=True, draws=60)
    latency = Latency(net, found.table)
    assert all(latency.exact(net.space.sample(rng_for(k, "x"))) > 0.0 for k in range(5))


def test_a_graph_is_timed_by_the_difference_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GraphTimer, "_captured", lambda self, calls: calls)
    monkeypatch.setattr(GraphTimer, "_replayed", lambda self, calls: 90.0 + 7.0 * calls)
    assert GraphTimer(lambda: None).times_us(3) == pytest.approx([7.0] * 3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_cuda_device() -> None:
    with pytest.raises(ConfigError, match="without a CUDA device"):
        measure(NET, device("gpu-batch"))


@pytest.mark.gpu
def test_cuda_graphs(tmp_path: Path) -> None:
    found = measure(NET, device("gpu-batch"), effort=BRIEF, check=6, accept=True, draws=10)
    near(found, tmp_path / "table.json")
    assert found.table.conditions.cpu == torch.cuda.get_device_name()


@pytest.mark.slow
def test_c(tmp_path: Path) -> None:
    import shutil

    if not any(map(shutil.which, ("gcc", "clang"))):
        pytest.skip("apt-get install gcc")
    near(measure(NET, device("cpu-1core"), "c", effort=BRIEF, check=6, accept=True, draws=10), tmp_path / "table.json")
