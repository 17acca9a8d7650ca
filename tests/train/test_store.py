"""A dataset file gives back what was put in, says when it is damaged, and holds nothing of a later zone when cut."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from tradenas.data.synthetic import planted
from tradenas.errors import FolderError
from tradenas.features import Target, build_table
from tradenas.splits import make_zones
from tradenas.train.build import build_dataset
from tradenas.train.dataset import Dataset
from tradenas.train.segments import tensor_of
from tradenas.train.store import ARRAYS, cut, load_dataset, save_dataset
from train.datasets import make_dataset

REGIME_T = (np.arange(300) % 5 - 1).astype(np.int8)


def same(a, b):
    for field in fields(Dataset):
        one, two = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == two.dtype, field.name
            assert one.tobytes() == np.ascontiguousarray(two).tobytes(), field.name
        else:
            assert one == two, field.name
            assert type(one) is type(two)
    return True


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_round_trip_bit_for_bit(tmp_path, kind):
    data = make_dataset(rows=300, kind=kind, gaps=(50,), warm_up=7, transforms=("raw", "rank"))
    data = replace(data, centre_labels=True, purge_rows=5, days_per_year=252, regime_T=REGIME_T)
    data = replace(data, funding_T=np.arange(300) * 1e-4)
    save_dataset(data, tmp_path / "data.safetensors")
    assert same(load_dataset(tmp_path / "data.safetensors"), data)
    assert len(ARRAYS) == sum(isinstance(getattr(data, f.name), np.ndarray) for f in fields(Dataset))


def test_the_same_data_make_the_same_file(tmp_path):
    data = make_dataset(rows=300)
    for name in ("a", "b"):
        save_dataset(data, tmp_path / name)
    save_dataset(load_dataset(tmp_path / "a"), tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_a_cut_is_a_prefix_and_its_file_holds_no_more(tmp_path):
    data = replace(make_dataset(rows=300), regime_T=REGIME_T, funding_T=np.zeros(300))
    part = cut(data, 200)
    assert len(part) == 200
    for name in ARRAYS:
        assert np.array_equal(getattr(part, name), getattr(data, name)[:200], equal_nan=True)
    save_dataset(part, tmp_path / "part")
    save_dataset(data, tmp_path / "whole")
    assert same(load_dataset(tmp_path / "part"), part)
    assert (tmp_path / "part").stat().st_size < 0.75 * (tmp_path / "whole").stat().st_size


@pytest.mark.parametrize("target", [Target(kind="forward_return", horizon=3), Target(kind="direction", delay=2)])
def test_a_cut_at_a_zone_holds_nothing_of_the_candles_of_the_next(tmp_path, target):
    """Labels and returns in the file can be computed from candles that closed before the vault began."""
    candles = planted("reversal", bars=900, seed=1).candles

    def open_file(candles, name):
        table = build_table(candles, indicators=["log_return_1", "rsi_14"], transforms=["zscore"], window=20)
        data = build_dataset(candles, table, target)
        zones = make_zones(len(data), purge=target.purge_rows, embargo=6, first_row=int(data.ready_T.argmax()))
        save_dataset(cut(data, zones.selection.stop), tmp_path / name)
        return zones, (tmp_path / name).read_bytes()

    zones, whole = open_file(candles, "whole")
    vault = zones.vault.start
    noise = planted("noise", bars=900, seed=9).candles
    columns = {}
    for name in ("open", "high", "low", "close", "volume"):
        columns[name] = np.r_[getattr(candles, name)[:vault], getattr(noise, name)[vault:]]
    low, high = (f(np.stack([columns[n] for n in ("open", "high", "low", "close")]), axis=0) for f in (np.min, np.max))
    other = type(candles).from_arrays(
        symbol=candles.symbol, interval_ms=candles.interval_ms, calendar=candles.calendar,
        open_time=candles.open_time, turnover=None, **{**columns, "low": low, "high": high},
    )  # fmt: skip
    again, spoilt = open_file(other, "spoilt")
    assert again.vault.start == vault
    plain = type(candles).from_arrays(
        symbol=candles.symbol, interval_ms=candles.interval_ms, calendar=candles.calendar,
        open_time=candles.open_time, turnover=None,
        **{n: getattr(candles, n) for n in ("open", "high", "low", "close", "volume")},
    )  # fmt: skip
    _, same_again = open_file(plain, "plain")
    assert same_again == spoilt == whole
    part = load_dataset(tmp_path / "whole")
    assert np.isfinite(part.y_T[-1])
    assert np.isfinite(part.bar_return_T[-1])  # the last decisions are whole, and end before the vault


@pytest.mark.parametrize("fault", ["missing", "cut", "flipped header", "another file", "no metadata"])
def test_a_damaged_file_is_refused(tmp_path, fault):
    path = tmp_path / "data"
    save_dataset(make_dataset(rows=300), path)
    data = bytearray(path.read_bytes())
    if fault == "missing":
        path.unlink()
    elif fault == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif fault == "flipped header":
        data[3] ^= 0xFF
        path.write_bytes(data)
    elif fault == "another file":
        path.write_bytes(b"PK\x03\x04 no dataset")
    else:
        from safetensors.numpy import save

        path.write_bytes(save({"x_TF": np.zeros((3, 3), np.float32)}))
    with pytest.raises(FolderError, match="a dataset"):
        load_dataset(path)


def test_a_loaded_dataset_is_the_files_own_pages_and_writing_to_it_changes_no_file(tmp_path):
    data = make_dataset(rows=300, features=3)
    save_dataset(data, tmp_path / "data.safetensors")
    before = (tmp_path / "data.safetensors").read_bytes()
    loaded = load_dataset(tmp_path / "data.safetensors")
    base = loaded.x_TF
    while not isinstance(base, np.memmap):
        base = base.base
    assert tensor_of(loaded.x_TF).data_ptr() == loaded.x_TF.ctypes.data
    loaded.x_TF[0, 0] = 1e6
    assert (tmp_path / "data.safetensors").read_bytes() == before
    assert load_dataset(tmp_path / "data.safetensors").x_TF[0, 0] == data.x_TF[0, 0]
