"""An 8-bit window model by ONNX Runtime's static quantisation: weights per channel, activations by calibrated ranges.

Weights and activations of convolutions and dense layers are rounded to 8 bits (QDQ; Jacob et al. 2018,
arXiv:1712.05877); all else stays in float32, and so does the sum that poisons a signal.  Ranges come from windows of
the training zone only.  The model is near the network, not equal to it: how near is told, and nothing is proved.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tradenas.atomic import write_bytes
from tradenas.errors import ConfigError, ExportError, MissingExtra
from tradenas.formats.onnx import POISON_NODE, to_onnx
from tradenas.formats.parity import Subject, spread, windows_of
from tradenas.formats.runtime import session
from tradenas.typing import Float32Array, FloatArray

__all__ = ["INT8", "write_int8"]

INT8 = "window.int8.onnx"

#: Ops that are computed in 8 bits.
OPS = ["Conv", "Gemm", "MatMul"]

#: Windows that give the ranges (more move them little), and real ones at most that the model is compared on.
CALIBRATION, COMPARED = 512, 20_000


def write_int8(subject: Subject, folder: Path, *, batch: int | None = 1) -> tuple[Path, dict[str, Any]]:
    """Writes `window.int8.onnx`; returns it, and how near it is to the network on real windows.

    Raises:
        ConfigError: no training windows to calibrate on.
        ExportError: a window that holds NaN got a number.
    """
    try:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ModuleNotFoundError:
        raise MissingExtra.of("onnxruntime", extra="onnx") from None
    windows = windows_of(subject.calibration_TF, subject.program.reach)
    if not len(windows):
        raise ConfigError(
            "int8", got=f"{len(subject.calibration_TF)} training rows",
            expected=f"at least one window of {subject.program.reach}",
        )  # fmt: skip
    at = spread(len(windows), CALIBRATION)
    model = to_onnx(subject.program, batch=batch)
    with tempfile.TemporaryDirectory() as scratch:
        prepared, made = f"{scratch}/prepared.onnx", f"{scratch}/int8.onnx"
        quant_pre_process(model, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            made,
            _Feed(np.ascontiguousarray(windows[at]), batch or 1),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPS,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[POISON_NODE],
        )
        write_bytes(folder / INT8, Path(made).read_bytes())
    return folder / INT8, _told(subject, folder / INT8, len(at))


class _Feed:
    """Calibration windows in batches of the model's size, as ONNX Runtime asks for them."""

    def __init__(self, windows_NRF: Float32Array, size: int) -> None:
        count = max(1, len(windows_NRF) // size)
        self._parts = iter(np.resize(windows_NRF, (count, size, *windows_NRF.shape[1:])))

    def get_next(self) -> dict[str, Float32Array] | None:
        part = next(self._parts, None)
        return None if part is None else {"window": part}


def _told(subject: Subject, file: Path, calibrated: int) -> dict[str, Any]:
    """Plain values for the card."""
    from tradenas.formats.onnx_file import signals_of_windows

    reach = subject.program.reach
    opened = session(str(file))
    windows = windows_of(subject.rows_TF, reach)
    at = spread(len(windows), COMPARED)
    windows = windows[at]
    bad = windows[:1].copy()
    bad[0, 0, 0] = np.nan
    if not np.isnan(signals_of_windows(opened, bad)).all():
        raise ExportError(str(file), got="a number for a window that holds NaN", expected="NaN")
    exact, rounded = subject.network(windows), signals_of_windows(opened, windows)
    told: dict[str, Any] = {
        "bytes": file.stat().st_size,
        "calibration_windows": calibrated,
        "compared": len(exact),
        "correlation": _correlation(exact, rounded),
        "max_error": float(np.max(np.abs(exact - rounded), initial=0.0)),
        "usual_signal": float(np.mean(np.abs(exact))),
    }
    label_N = subject.labels_T[reach - 1 :][at] if len(subject.labels_T) else np.full(len(exact), np.nan)
    known = np.isfinite(label_N)
    if known.sum() > 2:
        told["ic_float"] = _correlation(exact[known], label_N[known])
        told["ic_int8"] = _correlation(rounded[known], label_N[known])
    return told


def _correlation(a_N: FloatArray, b_N: FloatArray) -> float:
    """Pearson's; 0 where one of them never varies."""
    if len(a_N) < 2 or not (np.ptp(a_N) > 0 and np.ptp(b_N) > 0):
        return 0.0
    return float(np.corrcoef(a_N, b_N)[0, 1])
