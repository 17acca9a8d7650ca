"""Recurrent cells that begin at zero some rows before: one in a window, one of every age in a stream."""

from __future__ import annotations

from tradenas.formats.c.layout import chunks
from tradenas.formats.c.row import Row, chains_for
from tradenas.formats.program import Recurrent, Step

__all__ = ["states", "write_recurrent"]


def states(step: Recurrent) -> int:
    """Floats of its cells that are under way in a stream."""
    return step.rows * _room(step) * (1 if step.cell == "gru" else 2)


def _room(step: Step) -> int:
    last = chunks(step.channels)[-1]
    return last.at + last.width


def write_recurrent(row: Row, step: Recurrent) -> None:
    """Reads what `split_recurrent` made of its input: the gates' share of it, each gate beginning at a chunk.

    A window runs one cell from its oldest row to its newest.  A stream has a cell of every age under way, each begun at
    another row, and runs all of them on the new row: as many cell steps, but none waits for another.
    """
    i, room, memory = row.index[step.name], _room(step), step.cell == "lstm"
    g, last = row.pointer(step.reads[0]), (step.rows - 1) * room if row.streaming else 0
    lines = [f"for (int j = {step.rows - 1}; j >= 0; j--) {{"]
    if row.streaming:
        h = f"s->h{i}"
        lines.append(f"static const float zeros[{room}] __attribute__((aligned(64)));")
        lines.append(f"const float *g = {g}, *h = j ? {h} + (j - 1) * {room} : zeros;")
        lines.append(f"float *to = {h} + j * {room};")
        if memory:
            lines.append(f"float *kept = to + {step.rows * room};")
            lines.append(f"const float *c = j ? kept - {room} : zeros;")
    else:
        h = f"h{i}"
        lines.insert(0, f"float {h}[{states(step) // step.rows}] __attribute__((aligned(64))) = {{0}};")
        lines.append(f"const float *g = {g} - j * {row.strides[step.reads[0]]}, *h = {h}; float *to = {h};")
        if memory:
            lines.append(f"float *kept = to + {room}; const float *c = kept;")
    row.lines += lines
    _cell(row, step)
    row.lines.append("}")
    for k, c in enumerate(row.of(step)):
        row.let(step, k, f"*(const v{c.width} *)({h} + {last + c.at})")


def _cell(row: Row, step: Recurrent) -> None:
    """One cell step: from `g`, `h` and `c` to `to` and `kept`."""
    own, room, gates = row.of(step), _room(step), 3 if step.cell == "gru" else 4
    weight_GCI = step.weight_hidden.reshape(gates, step.channels, -1)
    weight_IO = row.padded(weight_GCI.transpose(2, 0, 1)).reshape(step.channels, -1)
    chains = chains_for(gates * len(own), step.channels)
    starts = []
    for g in range(gates):
        for k, c in enumerate(own):
            begin = f"*(const v{c.width} *)(g + {g * room + c.at})"
            if step.cell == "gru" and g == 2:
                begin = row.constant(step.bias_hidden[2 * step.channels :], c)
            starts.append((f"g{g}_{k}_", c.width, begin))
    row.sums(starts, chains)
    row.products([(name, width) for name, width, _ in starts], weight_IO, "h", list(range(step.channels)), chains)
    for k, c in enumerate(own):
        v, at = f"v{c.width}", c.at
        gate = [row.joined(f"g{g}_{k}_", chains) for g in range(gates)]
        if step.cell == "gru":
            row.lines.append(f"const {v} r{k} = sigmoid{c.width}({gate[0]}), z{k} = sigmoid{c.width}({gate[1]});")
            row.lines.append(f"const {v} n{k} = tanh{c.width}(*(const {v} *)(g + {2 * room + at}) + r{k} * {gate[2]});")
            new = f"n{k} + z{k} * (*(const {v} *)(h + {at}) - n{k})"
        else:
            old = f"sigmoid{c.width}({gate[1]}) * *(const {v} *)(c + {at})"
            row.lines.append(f"const {v} c{k} = {old} + sigmoid{c.width}({gate[0]}) * tanh{c.width}({gate[2]});")
            row.lines.append(f"*({v} *)(kept + {at}) = c{k};")
            new = f"sigmoid{c.width}({gate[3]}) * tanh{c.width}(c{k})"
        row.lines.append(f"const {v} h_{k} = {new};")
    row.lines += [f"*(v{c.width} *)(to + {c.at}) = h_{k};" for k, c in enumerate(own)]
