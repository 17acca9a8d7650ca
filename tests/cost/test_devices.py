"""Devices: those that ship, files of one's own, and what is refused in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradenas.cost.devices import Device, Limits, device, device_names
from tradenas.errors import ConfigError

OWN = """
kind = "cpu"
words = "A box in a rack."
backends = ["c"]
threads = 2
[limits]
latency_us = 3
weight_bytes = 1e6
dsps = -1
"""


def test_every_device_that_ships_loads() -> None:
    assert set(device_names()) == {"cpu-1core", "mobile-10mb", "gpu-batch", "fpga-ice40", "fpga-artix7"}
    for name in device_names():
        found = device(name)
        assert found.name == name
        assert found.limits.set()
    assert device("mobile-10mb").limits.weight_bytes == 10e6
    assert device("fpga-ice40").limits.set()["dsps"] == 0.0


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "rack.toml").write_text(OWN)
    found = device(tmp_path / "rack.toml")
    assert found == Device(
        name="rack", kind="cpu", words="A box in a rack.", backends=("c",), threads=2,
        limits=Limits(latency_us=3, weight_bytes=1e6, dsps=-1),
    )  # fmt: skip
    assert found.limits.set() == {"latency_us": 3.0, "weight_bytes": 1e6, "dsps": 0.0}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "cpu"', 'kind = "cpy"', "id you mean 'cpu'"),
        ('["c"]', '["onnxruntim"]', "id you mean 'onnxruntime'"),
        ('["c"]', "[]", "backends: got none"),
        ('["c"]', '"c"', "a list of backends"),
        ('words = "A box in a rack."', "", "no 'words'"),
        ("threads = 2", "threads = 0", "threads: got 0"),
        ("threads = 2", "threads = true", "threads: got True"),
        ("threads = 2", "thread = 2", "id you mean 'threads'"),
        ("latency_us = 3", "latency = 3", "id you mean 'latency_us'"),
        ("latency_us = 3", "latency_us = -1", "latency_us: got -1"),
        ("latency_us = 3", "latency_us = nan", "latency_us: got nan"),
        ("latency_us = 3", 'latency_us = "3"', "latency_us: got 3"),
        ("dsps = -1", "dsps = 1.5", "dsps: got 1.5"),
        ("dsps = -1", "luts = -1", "luts: got -1"),
        ("threads = 2", "mode = 'windows'", "id you mean 'window'"),
        ("threads = 2", "precision = 'int4'", "precision"),
        ("threads = 2", "threads 2", "no TOML"),
    ],
)
def test_a_file_that_says_what_no_device_is(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in OWN
    (tmp_path / "rack.toml").write_text(OWN.replace(old, new, 1))
    with pytest.raises(ConfigError, match=said):
        device(tmp_path / "rack.toml")


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="id you mean 'cpu-1core'"):
        device("cpu-1cor")
    with pytest.raises(ConfigError, match="No such file"):
        device(tmp_path / "rack.toml")
