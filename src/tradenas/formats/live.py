"""Runs an exported folder on rows as they come: the C extension where one can be built, else ONNX Runtime.

Nothing here needs torch, and `step` and `window` need neither the study nor the rest of the package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from tradenas.atomic import read_json, sha256_file
from tradenas.errors import ConfigError, ExportError, FolderError, MissingExtra
from tradenas.formats.card import CARD
from tradenas.typing import Float32Array

if TYPE_CHECKING:
    from tradenas.data.candles import Candles

__all__ = ["Live"]

NAN = float("nan")


@dataclass(kw_only=True)
class Live:
    """A predictor from an exported folder.

    A row is the card's columns in the card's order, float32.  A row with NaN or infinity gives NaN, and so does every
    one until `reach` whole rows have come after it.

    Attributes:
        folder: of the export.
        card: `card.json`.
        engine: `c` or `onnx`.
        ready: whether the last `step` had all its rows, so that its output is a number.

    Example:
        live = Live.open("live/")
        for row in rows:
            output = live.step(row)
            if live.ready:
                forecast = live.forecast(output, volatility=volatility_now)
    """

    folder: Path
    card: Mapping[str, Any]
    engine: Literal["c", "onnx"]
    ready: bool = False
    _step: Callable[[Float32Array], float] | None = field(repr=False)
    _window: Callable[[Float32Array], float] | None = field(repr=False)
    _reset: Callable[[], None] = field(repr=False)

    @classmethod
    def open(cls, folder: Path | str, *, engine: Literal["auto", "c", "onnx"] = "auto") -> Self:
        """Opens a folder that `tradenas export` wrote.

        Args:
            folder: of the export.
            engine: `auto` takes C where the folder holds a C file and this machine a compiler, else ONNX Runtime.

        Raises:
            FolderError: no card, files that are not those of the card, or none that can be run.
            MissingExtra: the engine asked for needs a compiler, or onnxruntime, that is not there.
        """
        path = Path(folder)
        card = read_json(path / CARD)
        if engine not in ("auto", "c", "onnx"):
            raise ConfigError("Live.engine", got=repr(engine), expected="auto, c or onnx")
        _check(path, card)
        sources = [f["name"] for f in card["files"].get("c", []) if f["name"].endswith(".c")]
        if sources and engine != "onnx":
            try:
                return cls(folder=path, card=card, engine="c", **_c(path / sources[0]))
            except (MissingExtra, ExportError):
                if engine == "c" or "onnx" not in card["files"]:
                    raise
        if engine == "c" or "onnx" not in card["files"]:
            wanted = "C" if engine == "c" else "C or ONNX"
            raise FolderError(
                str(path), got=f"files of {', '.join(card['files'])}", expected=f"a {wanted} file",
                fix=f"tradenas export RUN --format {'c' if engine == 'c' else 'onnx'}",
            )  # fmt: skip
        return cls(folder=path, card=card, engine="onnx", **_onnx(path, {f["name"] for f in card["files"]["onnx"]}))

    @property
    def reach(self) -> int:
        """Rows that one output reads, its own included."""
        return int(self.card["program"]["reach"])

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of a row's numbers, in order."""
        return tuple(c["name"] for c in self.card["columns"])

    def step(self, row_F: Float32Array) -> float:
        """The output after one more row, NaN where there is none yet.

        Raises:
            ConfigError: the export has no streaming entry.
        """
        if self._step is None:
            raise ConfigError("Live.step", got="an export without a streaming entry", expected="one with it")
        said = self._step(row_F)
        self.ready = said == said  # NaN is the only number that differs from itself
        return said

    def window(self, rows_RF: Float32Array) -> float:
        """The output of the latest `reach` rows, the oldest first; leaves the stream as it is.

        Raises:
            ConfigError: the export has no window entry.
        """
        if self._window is None:
            raise ConfigError("Live.window", got="an export without a window entry", expected="one with it")
        return self._window(rows_RF)

    def reset(self) -> None:
        """Forgets every row seen: after a gap in the candles."""
        self._reset()
        self.ready = False

    def forecast(self, output: float, *, volatility: float | None = None) -> float:
        """An output in the units of the label; see the card's `signal`.

        Args:
            output: of `step` or `window`.
            volatility: the row's usual move, needed where the network learnt returns in units of it.

        Raises:
            ConfigError: volatility is needed and not given.
        """
        signal = self.card["signal"]
        if not signal["by_volatility"]:
            return float(output * signal["scale"])
        if volatility is None:
            raise ConfigError(
                "Live.forecast", got="no volatility", expected="the row's usual move, the unit in which it forecasts",
                fix="tradenas.train.build.usual_move(candles)[-1]",
            )  # fmt: skip
        return float(output * signal["scale"] * volatility)

    def rows(self, candles: Candles) -> Float32Array:
        """The rows (T, columns) of candles, as the study computed them; NaN where they have not warmed up.

        Indicators that average without end remember where the candles begin, by less than 1/1000 after their warm-up:
        for the very numbers of the study begin where its candles began.

        Raises:
            ConfigError: a column that is not of the candles, such as an order book's.
        """
        from tradenas.features import INDICATORS, build_table

        columns = self.card["columns"]
        indicators = list(dict.fromkeys(c["indicator"] for c in columns))
        if unknown := [name for name in indicators if name not in INDICATORS]:
            raise ConfigError(
                "Live.rows", got=f"columns of {', '.join(unknown)}", expected="columns that are made of candles alone",
                fix="import the module that registers a feature of yours; lay funding, books and other series beside",
            )  # fmt: skip
        transforms = list(dict.fromkeys(c["transform"] for c in columns))
        table = build_table(candles, indicators=indicators, transforms=transforms, window=columns[0]["window"])
        at = [transforms.index(c["transform"]) * len(indicators) + indicators.index(c["indicator"]) for c in columns]
        rows_TC = np.ascontiguousarray(table.values_TF[:, at])
        rows_TC[~table.ready_T] = np.nan
        return rows_TC


def _check(folder: Path, card: Mapping[str, Any]) -> None:
    """Files that were proved are the ones that are run."""
    for file in (f for name in ("onnx", "c") for f in card["files"].get(name, [])):
        if sha256_file(folder / file["name"]) != file["sha256"]:
            raise FolderError(
                str(folder / file["name"]), got="another file than the card's", expected=f"SHA-256 {file['sha256']}",
                fix="export again",
            )  # fmt: skip


def _onnx(folder: Path, names: set[str]) -> dict[str, Any]:
    """What `Live` calls, on ONNX Runtime."""
    from tradenas.formats.onnx_file import STREAM, WINDOW
    from tradenas.formats.runtime import Stream, Window, session

    calls: dict[str, Any] = {"_step": None, "_window": None, "_reset": lambda: None}
    if STREAM in names:
        stream = Stream(session(str(folder / STREAM)))

        def step(row_F: Float32Array) -> float:
            stream.x[:] = row_F
            return float(stream()[0])

        calls |= {"_step": step, "_reset": stream.reset}
    if WINDOW in names:
        window = Window(session(str(folder / WINDOW)))

        def run(rows_RF: Float32Array) -> float:
            window.x[:] = rows_RF
            return float(window()[0])

        calls["_window"] = run
    return calls


def _c(source: Path) -> dict[str, Any]:
    """What `Live` calls, in the C extension, which is compiled now if it is not yet."""
    from tradenas import loader
    from tradenas.formats.c.build import needs_compiler

    with needs_compiler():
        module = loader.load(source, source.stem)
    stream = module.Stream()
    return {"_step": _any_array(stream.step), "_window": _any_array(module.window), "_reset": stream.reset}


def _any_array(call: Callable[[Float32Array], float]) -> Callable[[Float32Array], float]:
    """The same for arrays of other types and layouts, which C refuses; those that it takes cost nothing more."""

    def run(x: Float32Array) -> float:
        try:
            return call(x)
        except TypeError:
            return call(np.ascontiguousarray(x, dtype=np.float32))

    return run
