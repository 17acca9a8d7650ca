"""Programs as ONNX models: weights inline, one file, no exporter in between.

Window graph: `window` (batch, reach, columns) to `signal` (batch,).  Streaming graph: `row` (batch, columns) and a
state for every value that a later step looks back to, to `signal` and the states after this row.

Poison: a runtime's `Relu` or `Max` may turn NaN into a plausible number (IEEE 754 leaves it open), so the rows
themselves are summed with weights of 0, which gives 0 for finite numbers and NaN for all others, and added to the
signal.  In the streaming graph these sums are remembered for `reach - 1` rows; they begin as NaN, so that no signal
speaks before `reach` whole rows have been seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradenas.atomic import canonical_json
from tradenas.errors import ConfigError, MissingExtra
from tradenas.formats.base import program_digest
from tradenas.formats.onnx_steps import Graph, emit
from tradenas.formats.program import Program
from tradenas.formats.runtime import POISON

__all__ = ["IR_VERSION", "OPSET", "POISON_NODE", "to_onnx"]

#: What ONNX Runtime 1.20 and later read.
OPSET, IR_VERSION = 20, 10

#: The node that adds NaN to a signal whose rows were not all finite; it must stay in float.
POISON_NODE = "Gemm/poisoned"


def to_onnx(
    program: Program, *, batch: int | None = 1, streaming: bool = False, notes: Mapping[str, str] | None = None
) -> Any:
    """The model (`onnx.ModelProto`) of a program, to be saved by `SerializeToString()`.

    Args:
        program: one with all its numbers.
        batch: signals at once, fixed; None leaves it open.
        streaming: the graph that takes one row and its states, instead of the one that takes a window.
        notes: more for the model's `metadata_props`, beside its digest, columns, names, reach and versions.

    Raises:
        MissingExtra: onnx is not installed.
        UnsupportedOp: a step that has no ONNX form.
    """
    try:
        import onnx
        from onnx import TensorProto, helper
    except ModuleNotFoundError:
        raise MissingExtra.of("onnx", extra="onnx") from None
    if batch is not None and batch < 1:
        raise ConfigError("batch", got=batch, expected="1 or more, or None for any")
    size: int | str = batch if batch is not None else "batch"

    def tensor(name: str, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, *shape])

    graph = Graph(program.channels)
    if streaming:
        inputs, outputs = _stream(graph, program)
    else:
        inputs, outputs = _window(graph, program)
    proto = helper.make_graph(
        graph.nodes,
        "tradenas_stream" if streaming else "tradenas_window",
        [tensor(name, *shape) for name, *shape in inputs],
        [tensor("signal"), *(tensor(name, *shape) for name, *shape in outputs)],
        graph.numbers,
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tradenas",
        producer_version=_version(),
    )
    props = {
        "program": program_digest(program),
        "reach": str(program.reach),
        "columns": canonical_json(list(program.columns)),
        "names": canonical_json(list(program.names)),
        "entry": "stream" if streaming else "window",
        "onnx": onnx.__version__,
        **(notes or {}),
    }
    helper.set_model_props(model, props)
    onnx.checker.check_model(model, full_check=True)
    return model


Tensors = list[tuple[Any, ...]]


def _window(graph: Graph, program: Program) -> tuple[Tensors, Tensors]:
    """Nodes of the window graph; its inputs, and its outputs beside the signal, each with its shape."""
    rows, reach = program.rows(), program.reach
    first = program.steps[0]
    flat = graph.add("Flatten", ["window"], axis=1)
    graph.keep(first.name, flat if reach == 1 else graph.add("Transpose", ["window"], perm=[0, 2, 1]), reach)
    for step in program.steps[1:]:
        if rows[step.name]:
            graph.keep(step.name, emit(graph, step, rows[step.name]), rows[step.name])
    _finish(graph, program, flat, reach * first.channels)
    return [("window", reach, first.channels)], []


def _stream(graph: Graph, program: Program) -> tuple[Tensors, Tensors]:
    """Nodes of the streaming graph: each step on one row, behind it the rows that later steps look back to."""
    rows, history = program.rows(), program.history()
    first, back = program.steps[0], program.reach - 1
    inputs: Tensors = [("row", first.channels)]
    outputs: Tensors = []

    def remember(state: str, new: str, kept: int, *shape: int) -> str:
        """The state with the new row behind it; without its oldest row it is the state of the next call."""
        after = state.replace("state/", "next/", 1)
        inputs.append((state, *shape, kept))
        outputs.append((after, *shape, kept))
        axis = len(shape) + 1
        full = graph.add("Concat", [state, new], axis=axis)
        graph.slice(full, 1, kept + 1, axis=axis, name=after)
        return full

    for step in program.steps:
        if step is not first and not rows[step.name]:
            continue
        made, kept = "row" if step is first else emit(graph, step, 1), history[step.name]
        if kept:
            new = graph.add("Unsqueeze", [made, graph.number([2], np.int64)])
            graph.keep(step.name, remember(f"state/{step.name}", new, kept, step.channels), kept + 1, now=made)
        else:
            graph.keep(step.name, made, 1)
    seen = "row"
    if back:
        seen = remember(POISON, graph.add("Gemm", ["row", _zeros(graph, first.channels)]), back)
    _finish(graph, program, seen, back + 1 if back else first.channels)
    return inputs, outputs


def _zeros(graph: Graph, count: int) -> str:
    """A column of zeros that takes no room in the file."""
    return graph.add("ConstantOfShape", [graph.number([count, 1], np.int64)])


def _finish(graph: Graph, program: Program, seen: str, count: int) -> None:
    """The signal, poisoned by `seen` (batch, count) where that is not all finite."""
    signal = graph.last(program.output, 1, flat=True)
    poisoned = graph.add("Gemm", [seen, _zeros(graph, count), signal], name="poisoned")
    graph.add("Reshape", [poisoned, graph.number([-1], np.int64)], name="signal")


def _version() -> str:
    from importlib.metadata import version

    return version("tradenas")
