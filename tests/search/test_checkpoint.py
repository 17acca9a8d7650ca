"""A generation is whole, or found out: faults placed at every step, damage of every sort, and what is used instead."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tradenas import atomic
from tradenas.errors import ConfigError, FolderError
from tradenas.search import checkpoint

torch.set_num_threads(1)


def state(step: int) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    weights = torch.arange(12, dtype=torch.float32).reshape(3, 4) + step
    return {"w": weights, "rng": torch.tensor([step], dtype=torch.uint8)}, {"step": step, "lr": 0.1 + step}


def saved(folder: Path, *steps: int) -> None:
    for step in steps:
        checkpoint.save(folder, *state(step))


def step_of(folder: Path) -> int:
    """Loads, checks that tensors and meta belong together, and tells which step they are of."""
    loaded = checkpoint.load(folder)
    assert loaded is not None
    tensors, meta = loaded
    wanted, wanted_meta = state(meta["step"])
    assert meta == wanted_meta
    assert tensors.keys() == wanted.keys()
    assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    return int(meta["step"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_saved_is_none(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path) is None
    assert checkpoint.load(tmp_path / "absent") is None


def test_two_newest_generations_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 0, 1, 2, 3)
    assert names(tmp_path) == ["gen-2", "gen-3"]
    assert step_of(tmp_path) == 3


def test_every_dtype_and_layout_comes_back_bit_for_bit(tmp_path: Path) -> None:
    base = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    tensors = {
        "float": base,
        "view": base[:, ::2],
        "transposed": base.T,
        "tied": base,
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "empty": torch.empty(0, 3),
        "nan": torch.tensor([float("nan"), -0.0, float("inf"), 1e-45]),
        "int": torch.tensor([2**62, -1]),
        "bool": torch.tensor([True, False]),
        "half": base.to(torch.bfloat16),
        "trained": base.clone().requires_grad_(),
    }
    meta = {"rng": 2**127 + 1, "lr": 0.1 + 0.2, "names": ["ü", None]}
    checkpoint.save(tmp_path, tensors, meta)
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded[1] == meta
    for name, tensor in tensors.items():
        back, wanted = loaded[0][name], tensor.detach().contiguous()
        assert back.dtype == wanted.dtype
        assert back.shape == wanted.shape
        assert back.reshape(-1).view(torch.uint8).tolist() == wanted.clone().reshape(-1).view(torch.uint8).tolist()
    loaded[0]["float"].add_(1)  # writable, and its own memory
    assert not torch.equal(loaded[0]["float"], loaded[0]["tied"])


def test_equal_states_are_equal_bytes(tmp_path: Path) -> None:
    tensors, meta = state(1)
    one = checkpoint.save(tmp_path / "a", tensors, meta)
    two = checkpoint.save(tmp_path / "b", dict(reversed(tensors.items())), dict(reversed(meta.items())))
    assert [(one / f).read_bytes() for f in names(one)] == [(two / f).read_bytes() for f in names(two)]


def test_nan_in_meta_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    saved(tmp_path, 0)
    with pytest.raises(ConfigError):
        checkpoint.save(tmp_path, {}, {"loss": float("nan")})
    assert names(tmp_path) == ["gen-0"]


def points_of_a_save(tmp_path: Path) -> list[str]:
    seen: list[str] = []
    saved(tmp_path / "probe", 0, 1)
    with atomic.observed(lambda step, path: seen.append(step)):
        saved(tmp_path / "probe", 2)
    return seen


NUM_POINTS = 14
RENAMED = 12  # from here on the new generation stands


def test_a_save_has_the_points_that_the_fault_tests_place(tmp_path: Path) -> None:
    seen = points_of_a_save(tmp_path)
    assert len(seen) == NUM_POINTS
    assert seen[10:] == ["sync_folder", "rename", "sync_folder", "forget"]


@pytest.mark.parametrize("k", range(NUM_POINTS))
def test_disk_refusing_at_any_point(tmp_path: Path, k: int) -> None:
    folder = tmp_path / "gens"
    saved(folder, 0, 1)
    calls = iter(range(99))

    def full(step: str, path: Path) -> None:
        if next(calls) == k:
            raise OSError(errno.ENOSPC, "No space left on device")

    with atomic.observed(full):
        if k == NUM_POINTS - 1:  # forgetting an old one may wait
            saved(folder, 2)
        else:
            with pytest.raises(FolderError, match="No space left") as caught:
                saved(folder, 2)
            assert caught.value.errno == errno.ENOSPC
    assert step_of(folder) == (2 if k >= RENAMED else 1)
    saved(folder, 3)
    assert len(names(folder)) == 2
    assert step_of(folder) == 3


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import torch
from tradenas import atomic
from tradenas.search import checkpoint
tensors = lambda step: {"w": torch.arange(12, dtype=torch.float32).reshape(3, 4) + step,
                        "rng": torch.tensor([step], dtype=torch.uint8)}
folder = Path(sys.argv[1])
import safetensors.torch
for k in range(int(sys.argv[3])):           # one child a point: fork after the slow imports
    child = os.fork()
    if child == 0:
        calls = iter(range(99))
        def die(step, path):
            if next(calls) == k:
                if step == "fsync":
                    os.truncate(path, 3)    # what was not yet synced may be torn
                os.kill(os.getpid(), signal.SIGKILL)
        with atomic.observed(die):
            checkpoint.save(folder / str(k), tensors(2), {"step": 2, "lr": 2.1})
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, k
print("all killed")
"""


def test_sigkill_at_every_point(tmp_path: Path) -> None:
    for k in range(NUM_POINTS):
        saved(tmp_path / str(k), 0, 1)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(Path(checkpoint.__file__).parents[2]), str(NUM_POINTS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout == "all killed\n", done.stderr
    for k in range(NUM_POINTS):
        folder = tmp_path / str(k)
        assert step_of(folder) == (2 if k >= RENAMED else 1), k
        saved(folder, 3)
        assert step_of(folder) == 3
        assert all(name.startswith("gen-") for name in names(folder))
        assert len(names(folder)) == 2


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("file", ["state.safetensors", "state.json"])
def test_any_flipped_bit_is_found(tmp_path: Path, file: str) -> None:
    saved(tmp_path / "clean", 0, 1)
    size = (tmp_path / "clean/gen-1" / file).stat().st_size
    for at in range(0, size, 7):
        folder = tmp_path / str(at)
        shutil.copytree(tmp_path / "clean", folder)
        flip(folder / "gen-1" / file, at)
        assert step_of(folder) == 0
        assert names(folder) == ["bad-gen-1", "gen-0"]


@pytest.mark.parametrize("file", ["state.safetensors", "state.json"])
@pytest.mark.parametrize("left", [0, 5, 40, -1])
def test_a_cut_file_is_found(tmp_path: Path, file: str, left: int) -> None:
    saved(tmp_path, 0, 1)
    data = (tmp_path / "gen-1" / file).read_bytes()
    (tmp_path / "gen-1" / file).write_bytes(data[:left])
    assert step_of(tmp_path) == 0


@pytest.mark.parametrize("file", ["state.safetensors", "state.json"])
def test_a_missing_file_is_found(tmp_path: Path, file: str) -> None:
    saved(tmp_path, 0, 1)
    (tmp_path / "gen-1" / file).unlink()
    assert step_of(tmp_path) == 0


@pytest.mark.parametrize("file", ["state.safetensors", "state.json"])
def test_a_file_of_another_generation_is_found(tmp_path: Path, file: str) -> None:
    saved(tmp_path, 0, 1)
    shutil.copy(tmp_path / "gen-0" / file, tmp_path / "gen-1" / file)
    assert step_of(tmp_path) == 0


def test_a_whole_generation_under_another_number_is_found(tmp_path: Path) -> None:
    saved(tmp_path, 0, 1)
    shutil.rmtree(tmp_path / "gen-1")
    shutil.copytree(tmp_path / "gen-0", tmp_path / "gen-1")
    assert step_of(tmp_path) == 0
    assert names(tmp_path) == ["bad-gen-1", "gen-0"]


def test_the_state_of_another_study_is_refused_and_left_alone(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, *state(0), owner="study-a")
    with pytest.raises(FolderError, match="study-a"):
        checkpoint.load(tmp_path, owner="study-b")
    assert names(tmp_path) == ["gen-0"]
    assert checkpoint.load(tmp_path, owner="study-a") is not None


def test_only_damaged_generations_is_an_error_and_stays_one(tmp_path: Path) -> None:
    saved(tmp_path, 0, 1)
    for name in ("gen-0", "gen-1"):
        flip(tmp_path / name / "state.safetensors", 100)
    for _ in range(2):  # asking twice must not start the search anew in silence
        with pytest.raises(FolderError, match="only damaged generations"):
            checkpoint.load(tmp_path)
    assert names(tmp_path) == ["bad-gen-0", "bad-gen-1"]


def test_numbers_go_on_after_a_quarantine(tmp_path: Path) -> None:
    saved(tmp_path, 0, 1)
    flip(tmp_path / "gen-1/state.json", 20)
    assert step_of(tmp_path) == 0
    saved(tmp_path, 7)
    assert names(tmp_path) == ["bad-gen-1", "gen-0", "gen-2"]
    assert step_of(tmp_path) == 7


@pytest.mark.parametrize(("cap", "value"), [("MAX_HEADER_BYTES", 20), ("MAX_TENSORS", 1), ("MAX_TENSOR_BYTES", 50)])
def test_sizes_are_capped_before_parsing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cap: str, value: int) -> None:
    saved(tmp_path, 0)
    monkeypatch.setattr(checkpoint, cap, value)
    with pytest.raises(FolderError, match="only damaged"):
        checkpoint.load(tmp_path)


def test_a_newer_format_names_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    saved(tmp_path, 0)
    monkeypatch.undo()
    with pytest.raises(FolderError, match="that wrote it"):
        checkpoint.load(tmp_path)
    assert names(tmp_path) == ["gen-0"]
