"""Turns parsed JSON into frozen dataclasses, or says which key of which file is wrong."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from tradenas.errors import FolderError

__all__ = ["decode"]

T = TypeVar("T")


def decode(cls: type[T], value: object, place: str) -> T:
    """Reads `value` as the dataclass `cls`; keys that `cls` does not know are left out, so newer files stay readable.

    Understands nested dataclasses, `tuple[X, ...]`, `Mapping[str, X]`, unions, and the JSON scalars; numbers must be
    finite.  Raises `FolderError` at `place`.
    """
    decoded: T = _read(cls, value, place)
    return decoded


def _read(kind: Any, value: object, place: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _union(kind, value, place)
    if is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, value, place)
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(place, value, "a list")
        return tuple(_read(get_args(kind)[0], item, f"{place}[{i}]") for i, item in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise _wrong(place, value, "an object")
        inner = get_args(kind)[1]
        return types.MappingProxyType({str(k): _read(inner, v, f"{place}.{k}") for k, v in value.items()})
    return _scalar(kind, value, place)


def _scalar(kind: Any, value: object, place: str) -> Any:
    if kind is object:
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
        raise _wrong(place, value, "a finite number")
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind in (str, bool, types.NoneType) and isinstance(value, kind):
        return value
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", types.NoneType: "null"}
    raise _wrong(place, value, names.get(kind, str(kind)))


def _union(kind: Any, value: object, place: str) -> Any:
    arms = get_args(kind)
    for arm in arms:
        if is_dataclass(arm) and isinstance(value, dict):
            return _read(arm, value, place)  # so that the error names the key inside it
    error: FolderError | None = None
    for arm in arms:
        try:
            return _read(arm, value, place)
        except FolderError as fault:
            error = error or fault
    raise error or _wrong(place, value, str(kind))


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _record(cls: type, value: object, place: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(place, value, "an object")
    hints, arguments = _hints(cls), {}
    for field in fields(cls):
        if field.name in value:
            arguments[field.name] = _read(hints[field.name], value[field.name], f"{place}: {field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise FolderError(f"{place}: {field.name}", got="no such key", expected="a value", fix=_FIX)
    return cls(**arguments)


_FIX = "delete the file and run `tradenas resume` on the folder, which writes it again"


def _wrong(place: str, value: object, expected: str) -> FolderError:
    got = repr(value)
    return FolderError(place, got=got if len(got) < 80 else f"{got[:77]}...", expected=expected, fix=_FIX)
