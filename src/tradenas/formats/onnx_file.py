"""The format `onnx`: a window model, a streaming model and, where asked for, an 8-bit one, each proved in its file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tradenas.atomic import write_bytes
from tradenas.errors import ConfigError
from tradenas.formats.base import FORMATS, Options, Written
from tradenas.formats.int8 import write_int8
from tradenas.formats.onnx import to_onnx
from tradenas.formats.parity import Proof, Subject, prove_stream, prove_windows
from tradenas.formats.runtime import Stream, Window, session
from tradenas.typing import Float32Array, FloatArray

__all__ = ["STREAM", "WINDOW", "signals_of_series", "signals_of_windows", "write_onnx"]

WINDOW, STREAM = "window.onnx", "stream.onnx"


@FORMATS.register("onnx")
def write_onnx(subject: Subject, options: Options, folder: Path) -> Written:
    """Writes `window.onnx`, `stream.onnx` and `window.int8.onnx`, as asked for, and proves what lies in the folder.

    Raises:
        ConfigError: 8 bits without a window entry.
    """
    if options.int8 and not options.window:
        raise ConfigError("int8", got="a streaming export", expected="a window entry", fix="export with --window")
    files: list[Path] = []
    proofs: list[Proof] = []
    facts: dict[str, Any] = {}
    for name, wanted in ((WINDOW, options.window), (STREAM, options.streaming)):
        if not wanted:
            continue
        streaming = name == STREAM
        model = to_onnx(subject.program, batch=options.batch, streaming=streaming)
        write_bytes(folder / name, model.SerializeToString())
        opened = session(str(folder / name))
        if streaming:
            proofs.append(prove_stream(subject, partial(signals_of_series, opened), what="onnx stream"))
        else:
            proofs.append(prove_windows(subject, partial(signals_of_windows, opened), what="onnx window"))
        files.append(folder / name)
    if options.int8:
        file, told = write_int8(subject, folder, batch=options.batch)
        files.append(file)
        facts["int8"] = told
    return Written(files=tuple(files), proofs=tuple(proofs), facts=facts)


def signals_of_windows(opened: Any, windows_NRF: Float32Array) -> FloatArray:
    """Signals (N,) of windows (N, reach, columns), in batches of the model's size."""
    size = opened.get_inputs()[0].shape[0]
    if not isinstance(size, int):
        return np.asarray(opened.run(None, {"window": windows_NRF})[0], dtype=float)
    run = Window(opened)
    said: list[Float32Array] = []
    for start in range(0, len(windows_NRF), size):
        some = windows_NRF[start : start + size]
        run.x[: len(some)] = some
        said.append(run()[: len(some)].copy())
    return np.concatenate(said).astype(float) if said else np.zeros(0)


def signals_of_series(opened: Any, x_TF: Float32Array) -> FloatArray:
    """Signals (T,) of rows (T, columns) from a fresh start; a model of several at once gets them in every place."""
    run = Stream(opened)
    signal_BT = run.run(np.broadcast_to(x_TF, (len(run.x), *x_TF.shape)))
    signal_T: FloatArray = signal_BT[-1].astype(float)
    return signal_T
