"""C statements for one row of each kind of step, in vectors of channels.

A value of the current row is either in variables (`y3_0`, `y3_1`: one for each chunk) or in memory; earlier rows are in
memory, `stride` floats apart.  Sums run in several variables at once, since a multiply-add takes four cycles but two
begin in each.  Rows of weights that are all zero are not there: the lasso leaves most taps of a filter bank at zero.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from tradenas.formats.base import refuse
from tradenas.formats.c.cells import write_recurrent
from tradenas.formats.c.layout import chunks, concat_offsets, literal
from tradenas.formats.c.row import CHAINS, Row, chains_for
from tradenas.formats.c.vnni import Dot, Pack, write_dot, write_pack
from tradenas.formats.program import (
    Add,
    Attend,
    Concat,
    Depthwise,
    LayerNorm,
    Max,
    Multiply,
    Pick,
    Pointwise,
    Quantise,
    Recurrent,
    Step,
    Taps,
)  # fmt: skip

__all__ = ["write"]

#: Taps that are written out one by one; more become a loop.
UNROLLED = 16


def write(row: Row, step: Step) -> list[str]:
    """Adds the statements of a step; the names of its chunks, or none where it was written to memory.

    Raises:
        UnsupportedOp: C has no kernel for it.
    """
    match step:
        case Taps():
            _few(row, step) if step.channels < 4 else _taps(row, step)
        case Depthwise():
            _depthwise(row, step)
        case Pointwise():
            _each(row, step, lambda k, w: f"{step.function}{w}({row.chunk(step.reads[0], k)})")
        case Quantise(fixed=fixed):
            scale = 1.0 / fixed.step
            bounds = ", ".join(literal(v) for v in (scale, fixed.step, fixed.low * scale, fixed.high * scale))
            _each(row, step, lambda k, w: f"quantise{w}({row.chunk(step.reads[0], k)}, {bounds})")
        case LayerNorm():
            _layer_norm(row, step)
        case Add():
            _each(row, step, lambda k, w: " + ".join(row.chunk(name, k) for name in step.reads))  # noqa: ARG005
        case Multiply():
            _each(row, step, lambda k, w: " * ".join(row.chunk(name, k) for name in step.reads))  # noqa: ARG005
        case Concat():
            _concat(row, step)
            return []
        case Pick():
            _pick(row, step)
        case Max():
            _max(row, step)
        case Recurrent():
            write_recurrent(row, step)
        case Attend():
            _attend(row, step)
        case Dot():
            write_dot(row, step)
        case Pack():
            write_pack(row, step)
            return []
        case _:
            refuse(step, "c", "a convolution, a sum or an activation")
    return row.made(step)


def _each(row: Row, step: Step, expression: Callable[[int, int], str]) -> None:
    """A function of every number: of chunk number and width."""
    for k, c in enumerate(row.of(step)):
        row.let(step, k, expression(k, c.width))


def _taps(row: Row, step: Taps) -> None:
    """Outer products: each input number times its row of weights."""
    x, own = step.reads[0], row.of(step)
    for begin in range(0, len(own), CHAINS):
        block = own[begin : begin + CHAINS]
        low, high = block[0].at, block[-1].at + block[-1].width
        weight_KIO = row.padded(step.weight.transpose(2, 1, 0))[:, :, low:high]
        chains = chains_for(len(block), step.weight.shape[1])
        names = [(f"a{row.index[step.name]}_{begin + k}_", c.width) for k, c in enumerate(block)]
        row.sums([(n, w, row.constant(step.bias, c)) for (n, w), c in zip(names, block, strict=True)], chains)
        for lag, weight_IO in zip(step.at, weight_KIO, strict=True):
            live = [int(i) for i in np.flatnonzero(np.any(weight_IO != 0, axis=1))]
            back = f" - {lag * row.strides[x]}" if lag else ""
            row.products(names, weight_IO[live], f"{row.pointer(x)}{back}", live, chains)
        for k, (name, _) in enumerate(names):
            row.let(step, begin + k, row.joined(name, chains))


def _few(row: Row, step: Taps) -> None:
    """Inner products: of fewer than four outputs."""
    x = step.reads[0]
    parts, results = chunks(row.program[x].channels), []
    for o in range(step.channels):
        weight_KI = row.padded(step.weight[o].T)
        terms: dict[int, list[str]] = {}
        for lag, weight_I in zip(step.at, weight_KI, strict=True):
            for k, c in enumerate(parts):
                if np.any(weight_I[c.at : c.at + c.width] != 0):
                    value = row.chunk(x, k) if lag == 0 else row.earlier(x, c, lag)
                    terms.setdefault(c.width, []).append(f"{value} * {row.constant(weight_I, c)}")
        sums = [f"sum{width}({' + '.join(found)})" for width, found in terms.items()]
        results.append(" + ".join([literal(step.bias[o]), *sums]))
    row.let(step, 0, f"{{{', '.join(results)}}}")


def _depthwise(row: Row, step: Depthwise) -> None:
    x = step.reads[0]
    weight_KC = row.padded(step.weight.T)
    for k, c in enumerate(row.of(step)):
        part_KC = weight_KC[:, c.at : c.at + c.width]
        live = [int(i) for i in np.flatnonzero(np.any(part_KC != 0, axis=1))]
        lags, name = [step.at[i] for i in live], f"d{row.index[step.name]}_{k}"
        chains = max(1, min(4, len(live)))
        row.sums([(name, c.width, row.constant(step.bias, c))], chains)
        if live:
            w = row.constants.floats(part_KC[live])
            hops = {b - a for a, b in pairwise(lags)}

            def term(n: int | str, p: int, lag: int | str) -> str:
                value = row.chunk(x, k) if lag == 0 else row.earlier(x, c, lag)  # noqa: B023
                return f"{name}{f'_{p}' if p else ''} += {value} * *(const v{c.width} *)({w} + {n} * {c.width});"  # noqa: B023

            whole = len(live) - len(live) % chains if len(live) > UNROLLED else 0
            if whole and len(hops) == 1:
                hop = hops.pop()
                body = " ".join(term(f"(n + {p})", p, f"({lags[0]} + (n + {p}) * {hop})") for p in range(chains))
                row.lines.append(f"for (int n = 0; n < {whole}; n += {chains}) {{ {body} }}")
            elif whole:
                table = row.constants.offsets(np.array(lags))
                body = " ".join(term(f"(n + {p})", p, f"{table}[n + {p}]") for p in range(chains))
                row.lines.append(f"for (int n = 0; n < {whole}; n += {chains}) {{ {body} }}")
            row.lines += [term(n, n % chains, lags[n]) for n in range(whole, len(live))]
        row.let(step, k, row.joined(name, chains))


def _layer_norm(row: Row, step: LayerNorm) -> None:
    x, own, n = step.reads[0], row.of(step), f"n{row.index[step.name]}"

    def total(parts: list[str]) -> str:
        return " + ".join(f"sum{c.width}({row.masked(part, c)})" for part, c in zip(parts, own, strict=True))

    row.lines.append(
        f"const float {n} = ({total([row.chunk(x, k) for k in range(len(own))])}) * {literal(1 / step.channels)};"
    )
    for k, c in enumerate(own):
        row.lines.append(f"const v{c.width} {n}_{k} = {row.chunk(x, k)} - {n};")
    squares = total([f"{n}_{k} * {n}_{k}" for k in range(len(own))])
    variance = f"({squares}) * {literal(1 / step.channels)} + {literal(step.epsilon)}"
    row.lines.append(f"const float {n}s = 1.0f / __builtin_sqrtf({variance});")
    for k, c in enumerate(own):
        row.let(step, k, f"{n}_{k} * {n}s * {row.constant(step.gain, c)} + {row.constant(step.shift, c)}")


def _concat(row: Row, step: Concat) -> None:
    """Parts from the first to the last: the padding of one is written over by the next."""
    parts = [row.program[name].channels for name in step.reads]
    last, end = chunks(parts[-1])[-1], row.of(step)[-1].at + row.of(step)[-1].width
    for at in range(end - 4, sum(parts[:-1]) + last.at + last.width - 4, -4):  # padding that no part has
        row.lines.append(f"*(v4 *)({row.pointer(step.name)} + {at}) = (v4){{0}};")
    for name, at, channels in zip(step.reads, concat_offsets(parts), parts, strict=True):
        for k, c in enumerate(chunks(channels)):
            row.lines.append(f"*(v{c.width} *)({row.pointer(step.name)} + {at + c.at}) = {row.chunk(name, k)};")


def _pick(row: Row, step: Pick) -> None:
    x = step.reads[0]
    for k, c in enumerate(row.of(step)):
        index = step.index[c.at : c.at + c.used]
        run = c.used == c.width and index == tuple(range(index[0], index[0] + c.width)) and index[0] >= 0
        if run:
            row.let(step, k, f"*(const v{c.width} *)({row.pointer(x)} + {index[0]})")
        else:
            row.let(step, k, "{" + ", ".join(f"({row.pointer(x)})[{i}]" if i >= 0 else "0.f" for i in index) + "}")


def _max(row: Row, step: Max) -> None:
    for k, c in enumerate(row.of(step)):
        name = f"x{row.index[step.name]}_{k}"
        row.lines.append(f"v{c.width} {name} = {row.chunk(step.reads[0], k)};")
        if step.rows > 1:
            value = row.earlier(step.reads[0], c, "j")
            row.lines.append(f"for (int j = 1; j < {step.rows}; j++) {name} = larger{c.width}({name}, {value});")
        row.let(step, k, name)


def _attend(row: Row, step: Attend) -> None:
    query, key, value = step.reads
    i, n, own = row.index[step.name], len(step.bias), row.of(step)
    room, keys = -(-n // 16) * 16, chunks(row.program[key].channels)
    bias = row.constants.floats(np.pad(step.bias, (0, room - n), constant_values=-1e30))
    row.lines.append(f"float s{i}[{room}] __attribute__((aligned(64))); memcpy(s{i}, {bias}, sizeof s{i});")
    for k, c in enumerate(keys):
        row.lines.append(
            f"const v{c.width} q{i}_{k} = {row.masked(f'{row.chunk(query, k)} * {literal(step.scale)}', c)};"
        )
    score = " + ".join(f"sum{c.width}(q{i}_{k} * {row.earlier(key, c, 'j')})" for k, c in enumerate(keys))
    row.lines.append(f"for (int j = 0; j < {n}; j++) s{i}[j] += {score};")
    row.lines.append(f"v16 p{i} = *(const v16 *)s{i}, t{i} = {{0}};")
    row.lines.append(f"for (int j = 16; j < {room}; j += 16) p{i} = larger16(p{i}, *(const v16 *)(s{i} + j));")
    row.lines.append(f"const float m{i}_ = largest16(p{i});")
    row.lines.append(f"for (int j = 0; j < {room}; j += 16) {{ const v16 e = exp16(*(const v16 *)(s{i} + j) - m{i}_); "
                     f"t{i} += e; *(v16 *)(s{i} + j) = e; }}")  # fmt: skip
    row.lines += [f"v{c.width} o{i}_{k} = {{0}};" for k, c in enumerate(own)]
    body = " ".join(f"o{i}_{k} += s{i}[j] * {row.earlier(value, c, 'j')};" for k, c in enumerate(own))
    row.lines.append(f"for (int j = 0; j < {n}; j++) {{ {body} }}")
    row.lines.append(f"const float d{i} = 1.0f / sum16(t{i});")
    for k in range(len(own)):
        row.let(step, k, f"o{i}_{k} * d{i}")
