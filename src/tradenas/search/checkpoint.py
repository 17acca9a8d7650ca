"""Generations of a search's state, so that a SIGKILL at any instruction costs at most the work since the last save.

A folder holds `gen-N/{state.safetensors,state.json}`, the two newest N.  A generation is written as `tmp-N`, synced,
and renamed: a reader sees all of it or none of it.  `state.json` carries size and SHA-256 of the tensors, and its own
SHA-256, so a flipped bit, a cut file or a swapped one is found before a number of it is used.  No pickle.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradenas.atomic import canonical_json, point, read_json, refuse_write, sync_folder, write_bytes
from tradenas.errors import FolderError

if TYPE_CHECKING:
    import torch

__all__ = ["load", "save"]

TENSORS, STATE = "state.safetensors", "state.json"
FORMAT = 1
KEEP = 2
MAX_TENSOR_BYTES = 16 * 2**30
MAX_HEADER_BYTES = 16 * 2**20
MAX_TENSORS = 100_000
MAX_STATE_BYTES = 256 * 2**20


def save(folder: str | Path, tensors: Mapping[str, torch.Tensor], meta: Mapping[str, Any], *, owner: str = "") -> Path:
    """Stores one more generation durably and forgets all but the newest two.

    Args:
        folder: of this search alone, held by one process (`tradenas.atomic.exclusive`).
        tensors: name -> tensor of any device and layout; values come back bit for bit, on the CPU.
        meta: whatever JSON can hold: step, scores, generator states (big integers and floats are exact).
        owner: what run this is, e.g. the digest of the study; `load` refuses another's.

    Returns:
        The folder of the generation.

    Raises:
        FolderError: the disk refused; the generations before this one stand.
        ConfigError: `meta` holds NaN, or something that is not JSON.
    """
    from safetensors.torch import save as to_bytes

    folder = Path(folder)
    number = max((n for n, _ in _generations(folder, "(?:bad-)?gen")), default=-1) + 1
    data = to_bytes(_plain(tensors))
    state: dict[str, Any] = {
        "format": FORMAT,
        "generation": number,
        "owner": owner,
        "tensors": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "num": len(tensors)},
        "meta": dict(meta),
    }
    state["sha256"] = _digest(state)
    text = canonical_json(state)

    new, final = folder / f"tmp-{number}", folder / f"gen-{number}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for _, leftover in _generations(folder, "tmp"):
            shutil.rmtree(leftover)
        new.mkdir()
        write_bytes(new / TENSORS, data)
        write_bytes(new / STATE, text.encode("ascii"))
        sync_folder(new)
        point("rename", final)
        new.rename(final)
        sync_folder(folder)
    except FolderError:
        shutil.rmtree(new, ignore_errors=True)
        raise
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        refuse_write(final, error)
    _forget(folder, keep=KEEP)
    return final


def load(folder: str | Path, *, owner: str = "") -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """The newest state whose hashes hold, or None where nothing was ever saved.

    A damaged generation is kept for a person to look at, as `bad-gen-N`, and the one before it is used.

    Raises:
        FolderError: every generation is damaged, or the newest whole one is of another owner or format.
    """
    folder = Path(folder)
    why: list[str] = []
    for _, generation in reversed(_generations(folder, "gen")):
        try:
            state, data = _verified(generation)
        except FolderError as error:
            why.append(str(error))
            _quarantine(generation)
            continue
        _refuse_foreign(generation, state, owner)
        return _tensors(data), state["meta"]
    bad = _generations(folder, "bad-gen")
    if bad:
        raise FolderError(
            str(folder),
            got=f"only damaged generations ({'; '.join(why) or ', '.join(p.name for _, p in bad)})",
            expected="a whole one",
            fix="restore one from a copy, or delete the folder to search from the start",
        )
    return None


def _verified(generation: Path) -> tuple[dict[str, Any], bytes]:
    """State and raw tensors of one generation; `FolderError` unless every size and hash holds."""
    state = read_json(generation / STATE, max_bytes=MAX_STATE_BYTES)
    if not isinstance(state, dict) or state.get("sha256") != _digest(state):
        raise FolderError(str(generation / STATE), got="a text that does not match its SHA-256", expected="its own")
    if state["format"] != FORMAT:
        return state, b""  # whole, and not ours to read: `load` says so
    if f"gen-{state['generation']}" != generation.name:
        raise FolderError(str(generation), got=f"the state of generation {state['generation']}", expected="its own")
    said, file = state["tensors"], generation / TENSORS
    try:
        size = file.stat().st_size
        if size != said["bytes"] or size > MAX_TENSOR_BYTES:
            raise FolderError(str(file), got=f"{size} bytes", expected=f"{said['bytes']} (at most {MAX_TENSOR_BYTES})")
        data = file.read_bytes()
    except FolderError:
        raise
    except OSError as error:
        raise FolderError(str(file), got=error.strerror or repr(error), expected="a readable file") from error
    if hashlib.sha256(data).hexdigest() != said["sha256"]:
        raise FolderError(str(file), got="bytes that do not match their SHA-256", expected=said["sha256"])
    _check_header(file, data)
    return state, data


def _refuse_foreign(generation: Path, state: Mapping[str, Any], owner: str) -> None:
    """A whole generation that is not ours is refused and left as it is: it is not damaged."""
    if state["format"] != FORMAT:
        raise FolderError(
            str(generation), got=f"format {state['format']}", expected=f"{FORMAT}", fix="use the tradenas that wrote it"
        )
    if state["owner"] != owner:
        raise FolderError(
            str(generation),
            got=f"the state of {state['owner']!r}",
            expected=f"that of {owner!r}",
            fix="resume the study this folder was made by, or use another folder",
        )


def _check_header(file: Path, data: bytes) -> None:
    """Refuses a header that would cost more to parse than the tensors are worth, before parsing it."""
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    if not 2 <= length <= min(len(data) - 8, MAX_HEADER_BYTES):
        raise FolderError(str(file), got=f"a header of {length} bytes", expected=f"2 to {MAX_HEADER_BYTES}")
    num = data.count(b'"dtype"', 8, 8 + length)
    if num > MAX_TENSORS:
        raise FolderError(str(file), got=f"{num} tensors", expected=f"at most {MAX_TENSORS}")


def _tensors(data: bytes) -> dict[str, torch.Tensor]:
    from safetensors.torch import load as from_bytes

    return {name: tensor.clone() for name, tensor in from_bytes(data).items()}


def _plain(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous CPU copies where needed; two names for one storage become two tensors of equal value."""
    plain: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != tensor.nbytes:
            tensor = tensor.clone()
        seen.add(tensor.untyped_storage().data_ptr())
        plain[name] = tensor
    return plain


def _digest(state: Mapping[str, Any]) -> str:
    body = canonical_json({key: value for key, value in state.items() if key != "sha256"})
    return hashlib.sha256(body.encode("ascii")).hexdigest()


def _generations(folder: Path, sort: str) -> list[tuple[int, Path]]:
    """(number, folder) of `gen`, `bad-gen` or `tmp` folders, oldest first."""
    pattern = re.compile(rf"{sort}-(\d{{1,12}})(?:\.\d+)?")
    found = [(pattern.fullmatch(path.name), path) for path in folder.iterdir()] if folder.is_dir() else []
    return sorted((int(match[1]), path) for match, path in found if match)


def _quarantine(generation: Path) -> None:
    target = generation.with_name(f"bad-{generation.name}")
    again = 1
    while target.exists():
        again += 1
        target = generation.with_name(f"bad-{generation.name}.{again}")
    try:
        generation.rename(target)
        sync_folder(generation.parent)
    except OSError as error:
        refuse_write(target, error)


def _forget(folder: Path, *, keep: int) -> None:
    """Deletes old generations; each first loses its name, so that a kill between leaves no half-empty one."""
    for _, old in _generations(folder, "gen")[:-keep]:
        garbage = old.with_name(old.name.replace("gen-", "tmp-"))
        with suppress(OSError):  # what cannot be deleted now is tried again at the next save
            point("forget", old)
            old.rename(garbage)
            shutil.rmtree(garbage)
