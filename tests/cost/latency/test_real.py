"""One small measurement on this very machine, with bounds that a busy one meets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cost.latency.fake import chain, network
from tradenas.cost.devices import Device, device
from tradenas.cost.latency import Effort, Latency, Measured, Table, measure

NET = network(chain(depths=(1, 2), ops=("dense", "conv3"), activations=("relu",), norms=("none",), widths=(8, 64)))
#: Some milliseconds a call.
BRIEF = Effort(rounds=8, slice_us=150.0, least=5, most=40)


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


@pytest.mark.slow
def test_c(tmp_path: Path) -> None:
    import shutil

    if not any(map(shutil.which, ("gcc", "clang"))):
        pytest.skip("apt-get install gcc")
    near(measure(NET, device("cpu-1core"), "c", effort=BRIEF, check=6, accept=True, draws=10), tmp_path / "table.json")
