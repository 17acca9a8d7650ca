"""Runs exported ONNX models as fast as ONNX Runtime can: one thread, no spinning, buffers bound once.

`session` opens a model; `Window` and `Stream` call it without allocating anything per call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tradenas.errors import MissingExtra
from tradenas.typing import Float32Array

__all__ = ["POISON", "Stream", "Window", "session"]

#: The state of a streaming model that makes signals NaN until `reach` whole rows have been seen.
POISON = "state/poison"


def session(model: bytes | str, *, threads: int = 1) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU.

    Args:
        model: serialised model, or the path of one.
        threads: within an op; they never spin while idle, which would cost the process next door its core.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """
    try:
        import onnxruntime as ort
    except ModuleNotFoundError:
        raise MissingExtra.of("onnxruntime", extra="onnx") from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return ort.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])


class Window:
    """Calls a window model: fill `x`, call, read `y`.

    Attributes:
        x: (batch, reach, columns), the input buffer.
        y: (batch,), the output buffer.

    Args:
        opened: from `session`.
        batch: needed where the model leaves it open.
    """

    def __init__(self, opened: Any, *, batch: int = 1) -> None:
        (given,) = opened.get_inputs()
        shape = [n if isinstance(n, int) else batch for n in given.shape]
        self.x: Float32Array = np.zeros(shape, dtype=np.float32)
        self.y: Float32Array = np.zeros(shape[0], dtype=np.float32)
        self._binding = opened.io_binding()
        _bind(self._binding.bind_input, given.name, self.x)
        _bind(self._binding.bind_output, opened.get_outputs()[0].name, self.y)
        self._run = opened._sess.run_with_iobinding  # the public one adds a Python frame
        self._raw = self._binding._iobinding

    def __call__(self) -> Float32Array:
        """One call on what lies in `x`; the answer lies in `y` until the next call."""
        self._run(self._raw, None)
        return self.y

    def run(self, window_BTF: Float32Array) -> Float32Array:
        """Signals (batch,) of windows (batch, reach, columns)."""
        self.x[...] = window_BTF
        return self().copy()


class Stream:
    """Calls a streaming model row by row; its states never leave two sets of buffers that change places.

    Attributes:
        x: (batch, columns), the input buffer.
        y: (batch,), the output buffer; NaN until `reach` finite rows have been seen.
    """

    def __init__(self, opened: Any, *, batch: int = 1) -> None:
        row, *states = opened.get_inputs()
        fixed = row.shape[0]
        batch = fixed if isinstance(fixed, int) else batch
        self.x: Float32Array = np.zeros((batch, row.shape[1]), dtype=np.float32)
        self.y: Float32Array = np.zeros(batch, dtype=np.float32)
        self._sets = [
            {s.name: np.zeros([batch, *s.shape[1:]], dtype=np.float32) for s in states} for _ in range(2)
        ]  # fmt: skip
        self._run = opened._sess.run_with_iobinding
        self._bindings = []
        for now, after in ((0, 1), (1, 0)):
            binding = opened.io_binding()
            _bind(binding.bind_input, row.name, self.x)
            signal, *outs = opened.get_outputs()
            _bind(binding.bind_output, signal.name, self.y)
            for state, out in zip(states, outs, strict=True):
                _bind(binding.bind_input, state.name, self._sets[now][state.name])
                _bind(binding.bind_output, out.name, self._sets[after][state.name])
            self._bindings.append(binding)
        self._raw = [binding._iobinding for binding in self._bindings]
        self.reset()

    def reset(self) -> None:
        """Forgets every row seen."""
        self._turn = 0
        for name, buffer in self._sets[0].items():
            buffer.fill(np.nan if name == POISON else 0.0)

    def __call__(self) -> Float32Array:
        """Reads the row in `x`; the answer lies in `y` until the next call."""
        self._run(self._raw[self._turn], None)
        self._turn = 1 - self._turn
        return self.y

    def run(self, x_BTF: Float32Array) -> Float32Array:
        """Signals (batch, rows) of rows (batch, rows, columns), read one after the other from where it stands."""
        signal_BT = np.empty(x_BTF.shape[:2], dtype=np.float32)
        for t in range(x_BTF.shape[1]):
            self.x[...] = x_BTF[:, t]
            signal_BT[:, t] = self()
        return signal_BT


def _bind(bind: Any, name: str, buffer: Float32Array) -> None:
    bind(name, "cpu", 0, np.float32, list(buffer.shape), buffer.ctypes.data)
