"""What a network has to run on, and what it may take there: a device is a TOML file.

Those that ship are `cpu-1core`, `mobile-10mb`, `gpu-batch`, `fpga-ice40` and `fpga-artix7`; a file of one's own is
given by its path.  Limits are budgets to begin with, not properties of a chip that we would have measured.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from tradenas.errors import ConfigError
from tradenas.registry import did_you_mean

__all__ = ["BACKENDS", "Device", "Limits", "device", "device_names"]

#: What runs a network: ONNX Runtime, C of our own, torch as it is, CUDA graphs of torch, Verilog.
Backend = Literal["onnxruntime", "c", "eager", "cuda", "verilog"]
BACKENDS: tuple[str, ...] = get_args(Backend)
Kind = Literal["cpu", "gpu", "fpga"]
Mode = Literal["window", "stream"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a network may take on a device; 0 sets no limit.

    Attributes:
        latency_us: most microseconds from a candle to its signal, at the 99th percentile.
        weight_bytes: most bytes of weights.
        peak_bytes: most bytes of activations at once.
        luts: most look-up tables of an FPGA.
        dsps: most multiplier blocks; -1 allows none.
        brams: most blocks of memory; -1 allows none.
        cycles: most clock cycles from a candle to its signal.
    """

    latency_us: float = 0.0
    weight_bytes: float = 0.0
    peak_bytes: float = 0.0
    luts: int = 0
    dsps: int = 0
    brams: int = 0
    cycles: int = 0

    def __post_init__(self) -> None:
        for f in fields(self):
            limit, none = getattr(self, f.name), f.name in ("dsps", "brams")
            whole = not isinstance(limit, bool) and isinstance(limit, int | float if f.type == "float" else int)
            if not whole or not (0 <= limit < math.inf or (limit == -1 and none)):
                raise ConfigError(
                    f"limits.{f.name}", got=limit,
                    expected=f"0 (no limit){', -1 (none at all)' if none else ''} or a "
                    f"{'number' if f.type == 'float' else 'whole number'} above",
                )  # fmt: skip

    def set(self) -> dict[str, float]:
        """By name, those that are set; 0 there where none at all is allowed."""
        found = {f.name: float(getattr(self, f.name)) for f in fields(self)}
        return {name: max(0.0, limit) for name, limit in found.items() if limit}


@dataclass(frozen=True, kw_only=True)
class Device:
    """A place where networks run, and what they may take there.

    Attributes:
        name: of the device; the stem of its file.
        kind: `cpu`, `gpu` or `fpga`.
        words: what it is, in a sentence.
        backends: that can run a network on it, the usual one first: `onnxruntime`, `c`, `eager`, `cuda`, `verilog`.
        threads: that one network may use.
        batch: windows that are run at once.
        precision: of weights and activations: `float32`, `float16`, `bfloat16`, `int8`.
        mode: `window` runs all rows of a window for each signal, `stream` remembers what earlier rows left.
        limits: the budget.
    """

    name: str
    kind: Kind
    words: str
    backends: tuple[Backend, ...]
    threads: int = 1
    batch: int = 1
    precision: str = "float32"
    mode: Mode = "window"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        place = f"device {self.name}"
        _one_of(f"{place}: kind", self.kind, get_args(Kind))
        _one_of(f"{place}: mode", self.mode, get_args(Mode))
        _one_of(f"{place}: precision", self.precision, ("float32", "float16", "bfloat16", "int8"))
        for name in ("threads", "batch"):
            if type(value := getattr(self, name)) is not int or value < 1:
                raise ConfigError(f"{place}: {name}", got=value, expected="a whole number from 1 on")
        if not self.backends:
            raise ConfigError(f"{place}: backends", got="none", expected=f"some of {', '.join(BACKENDS)}")
        for name in self.backends:
            _one_of(f"{place}: backends", name, BACKENDS)

    @classmethod
    def from_plain(cls, name: str, plain: Mapping[str, Any], *, place: str) -> Device:
        """From what a TOML reader gives.

        Raises:
            ConfigError: a key that means nothing, one that is missing, or a value of the wrong kind.
        """
        known = [f.name for f in fields(cls) if f.name != "name"]
        _keys(place, plain, known)
        limits = plain.get("limits", {})
        if not isinstance(limits, dict):
            raise ConfigError(f"{place}: limits", got=limits, expected="a section [limits]")
        _keys(f"{place}: limits", limits, [f.name for f in fields(Limits)])
        for needed in ("kind", "words", "backends"):
            if needed not in plain:
                raise ConfigError(place, got=f"no {needed!r}", expected=f"{', '.join(known[:3])} at least")
        backends = plain["backends"]
        if not isinstance(backends, list) or not isinstance(plain["words"], str):
            raise ConfigError(place, got=f"{backends!r}, {plain['words']!r}", expected="a list of backends; text")
        return cls(**{**plain, "name": name, "backends": tuple(backends), "limits": Limits(**limits)})


def device_names() -> list[str]:
    """The devices that ship.

    >>> device_names()
    ['cpu-1core', 'fpga-artix7', 'fpga-ice40', 'gpu-batch', 'mobile-10mb']
    """
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def device(name: str | Path) -> Device:
    """A device by its name, or from a TOML file of one's own by its path.

    Raises:
        ConfigError: no such device or file, or one that says what a device cannot be.

    >>> device("fpga-ice40").limits.cycles, device("cpu-1core").backends
    (12, ('c', 'onnxruntime', 'eager'))
    """
    path = Path(name)
    own = path.suffix == ".toml"
    if not own and str(name) not in device_names():
        raise ConfigError(
            "device", got=repr(str(name)), expected="the name of a device, or the path of a TOML file",
            fix=did_you_mean(str(name), device_names()),
        )  # fmt: skip
    file = path if own else resources.files(__name__) / f"{name}.toml"
    try:
        plain = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), got=error.strerror, expected="a TOML file of a device") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), got=f"no TOML ({error})", expected="a TOML file of a device") from error
    return Device.from_plain(path.stem if own else str(name), plain, place=str(path))


def _one_of(place: str, got: object, known: Iterable[str]) -> None:
    if got not in (options := list(known)):
        raise ConfigError(place, got=got, expected="a known word", fix=did_you_mean(str(got), options))


def _keys(place: str, plain: Mapping[str, Any], known: list[str]) -> None:
    for key in plain:
        if key not in known:
            raise ConfigError(f"{place}: {key}", got="a key that means nothing", expected="a setting of a device",
                              fix=did_you_mean(key, known))  # fmt: skip
