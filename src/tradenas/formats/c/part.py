"""One program as two functions of C, one for a row and one for a window, and the state between rows."""

from __future__ import annotations

from tradenas.formats.c.cells import states
from tradenas.formats.c.kernels import write
from tradenas.formats.c.layout import chunks, strides
from tradenas.formats.c.memory import groups, rings, scalars, split_recurrent
from tradenas.formats.c.row import Constants, Row
from tradenas.formats.c.vnni import packed
from tradenas.formats.program import Input, Program, Recurrent, Step

__all__ = ["Part"]

#: Bytes of a window's values that may lie on the stack; more are kept for each thread.
STACK = 2**18


class Part:
    """One program's functions and its part of the state.

    Args:
        program: that is written.
        name: of its functions.
        constants: to which weights are added.
        vnni: see `emit`.

    Attributes:
        row: C of the function that takes one more row.
        window: C of the function that takes `reach` rows.
    """

    def __init__(self, program: Program, name: str, constants: Constants, *, vnni: bool) -> None:
        self.name, self.reach, self.columns = name, program.reach, len(program.columns)
        program = split_recurrent(program)
        self.program = packed(program) if vnni else program
        self.rows, self.strides, self.single = self.program.rows(), strides(self.program), scalars(self.program)
        self.index = {step.name: i for i, step in enumerate(self.program.steps)}
        self.rings = rings(self.program, self.rows)
        self.cells = [s for s in self.program.steps if isinstance(s, Recurrent) and self.rows[s.name]]
        self.constants = constants
        self.row = self._row()
        self.window = self._window()

    def struct(self) -> str:
        """What a stream remembers: rings of rows, cells under way, and where the rings stand."""
        rooms = {f"r{self.index[v]}": 2 * ring.rows * ring.stride for v, ring in self.rings.items()}
        rooms |= {f"h{self.index[step.name]}": states(step) for step in self.cells}
        fields = [f"  float {name}[{room}] __attribute__((aligned(64)));" for name, room in rooms.items()]
        fields += [f"  int32_t at{rows};" for rows in sorted({ring.rows for ring in self.rings.values()})]
        return "\n".join([f"struct {self.name} {{", *(fields or ["  int32_t none;"]), "};"])

    def _row(self) -> str:
        """One more row: into rings, through all steps."""
        lines = [f"static float {self.name}_row(struct {self.name} *s, const float *row) {{"]
        lines += [f"  const int at{n} = s->at{n};" for n in sorted({r.rows for r in self.rings.values()})]
        for v, ring in self.rings.items():
            i = self.index[v]
            lines.append(f"  float *m{i} = s->r{i} + (at{ring.rows} + {ring.rows}) * {ring.stride};")
        live = [step for step in self.program.steps if self.rows[step.name]]
        for step in live:
            if step.name not in self.rings and (step.name in self.single or isinstance(step, Input)):
                lines.append(self._local(step))
        body = Row(self.program, lambda v: f"m{self.index[v]}", self.constants, strides=self.strides, streaming=True)
        for step in live:
            i = self.index[step.name]
            if isinstance(step, Input):
                body.lines.append(f"memcpy(m{i}, row, {4 * self.columns});")
            else:
                self._kept(body, step, step.name in self.rings or step.name in self.single)
            if step.name in self.rings:
                ring = self.rings[step.name]
                whole = f"memcpy(m{i} - {ring.rows * ring.stride}, m{i}, {4 * ring.stride});"
                body.lines.append(whole)
        lines += [f"  {line}" for line in body.lines]
        lines += [
            f"  s->at{n} = at{n} + 1 == {n} ? 0 : at{n} + 1;" for n in sorted({r.rows for r in self.rings.values()})
        ]
        return "\n".join([*lines, f"  return ({body.chunk(self.program.output, 0)})[0];", "}\n"])

    def _window(self) -> str:
        """Each step on the rows that are read of it."""
        lines = [f"static float {self.name}_rows(const float *rows) {{"]
        source = self.program.steps[0]
        together = groups(self.program, self.rows)
        home = {step.name: n for n, group in enumerate(together) for step in group}
        buffered = {
            name for n, group in enumerate(together) for step in group for name in step.reads
            if home.get(name, -1) != n and name != source.name
        }  # fmt: skip
        width = dict(self.strides)
        whole = all(c.used == c.width for c in chunks(self.columns))
        if whole:  # vectors end where rows do: the caller's rows may be read as they lie
            width[source.name] = self.columns
        rooms = {name: self.rows[name] * width[name] for name in sorted(buffered, key=self.index.__getitem__)}
        rooms |= {} if whole else {source.name: self.rows[source.name] * width[source.name]}
        where = "" if 4 * sum(rooms.values()) <= STACK else "static _Thread_local "
        for name, room in rooms.items():
            lines.append(f"  {where}float b{self.index[name]}[{room}] __attribute__((aligned(64)));")
        if whole:
            lines.append("  const float *b0 = rows;")
        else:
            last, row = chunks(self.columns)[-1], f"b0 + i * {width[source.name]}"
            copy = f"memcpy({row}, rows + i * {self.columns}, {4 * self.columns});"
            padding = f"*(v{last.width} *)({row} + {last.at}) = (v{last.width}){{0}};"
            lines.append(f"  for (int i = 0; i < {self.rows[source.name]}; i++) {{ {padding} {copy} }}")
        for group in together:
            count = self.rows[group[0].name]
            t = "0" if count == 1 else "t"

            def pointer(v: str, t: str = t, count: int = count) -> str:
                i = self.index[v]
                if v in buffered or v == source.name:
                    late = self.rows[v] - count
                    at = str(late) if t == "0" else f"({t} + {late})" if late else t
                    return f"(b{i} + {at} * {width[v]})"
                return f"m{i}"

            body = Row(self.program, pointer, self.constants, strides=width)
            for step in group:
                inside = step.name in self.single and step.name not in buffered
                if inside:
                    body.lines.append(self._local(step))
                self._kept(body, step, inside or step.name in buffered)
            if any(step.name == self.program.output for step in group):
                body.lines.append(f"return ({body.chunk(self.program.output, 0)})[0];")
            loop = f"  for (int t = 0; t < {count}; t++) {{" if count > 1 else "  {"
            lines += [loop, *(f"    {line}" for line in body.lines), "  }"]
        return "\n".join([*lines, "}\n"])

    def _local(self, step: Step) -> str:
        return f"  float m{self.index[step.name]}[{self.strides[step.name]}] __attribute__((aligned(64))) = {{0}};"

    def _kept(self, body: Row, step: Step, memory: bool) -> None:
        """Writes a step, and its chunks to memory where someone reads them there."""
        names = write(body, step)
        if memory:
            for name, c in zip(names, body.of(step), strict=False):
                body.lines.append(f"*(v{c.width} *)({body.pointer(step.name)} + {c.at}) = {name};")
