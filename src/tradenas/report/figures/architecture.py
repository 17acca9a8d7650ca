"""The champion as a layered graph: inputs, layers with their widths, and the forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tradenas.report.describe import Drawn, describe, parts
from tradenas.report.figures.cell import draw_cell
from tradenas.report.markup import Markup
from tradenas.report.record import RunRecord
from tradenas.report.svg import Sheet, fit, text_width

__all__ = ["architecture", "draw"]

IDENTITY = "skip"
BYPASSED = ("residual",)


@dataclass(frozen=True, kw_only=True)
class Node:
    """One box."""

    head: str
    lines: tuple[str, ...]
    cls: str
    width: int | None = None
    bypass: bool = False


def architecture(record: RunRecord, *, width: int) -> Markup | None:
    """The champion's graph; `None` when it is no network."""
    champion = record.champion
    if champion is None or not champion.architecture:
        return None
    return draw(champion.architecture, width=width)


def draw(mapping: Mapping[str, object], *, width: int) -> Markup:
    """Boxes in a row where there is room, else in a column; a bar in a box is its width beside the widest."""
    if "cells" in mapping:
        return draw_cell(mapping, width=width)
    drawn = parts(mapping)
    nodes = _nodes(drawn)
    wide = width > 600
    gap, top = (28.0 if wide else 30.0), 34.0
    columns = (len(nodes) if len(nodes) <= 6 else -(-len(nodes) // 2)) if wide else 1
    box_w = min(180.0, (width - 4 - gap * (columns - 1)) / columns) if wide else width - 70.0
    rows = -(-len(nodes) // columns)
    widest = max((node.width or 0 for node in nodes), default=0)
    heights = [max(_height(n) for n in nodes[r * columns : (r + 1) * columns]) for r in range(rows)]
    total = sum(heights) + ((top + 12) * rows if wide else gap * (rows - 1) + 8)
    sheet = Sheet(width, total, f"Architecture: {describe(mapping)}.")
    y = top if wide else 4.0
    for r, height in enumerate(heights):
        for c, node in enumerate(nodes[r * columns : (r + 1) * columns]):
            x = 2 + c * (box_w + gap) if wide else 10.0
            if r * columns + c:
                _arrow(
                    sheet,
                    x,
                    y,
                    height,
                    gap,
                    box_w,
                    wide=wide,
                    first=c == 0,
                    left=2 + (columns - 1) * (box_w + gap) + box_w,
                )
            _box(sheet, node, (x, y, box_w, height), widest, wide=wide)
        y += height + (top + 12 if wide else gap)
    return sheet.svg()


def _height(node: Node) -> float:
    return 44.0 + 17 * len(node.lines) + (10 if node.width else 0)


def _nodes(drawn: Drawn) -> list[Node]:
    entry = drawn.input
    lines = [f"{entry.lookback} candles back"] if entry.lookback is not None else []
    lines += [entry.transform] if entry.transform is not None else []
    lines += [f"{op}: {_columns(names)}" for op, names in entry.columns.items()]
    lines += [f"+ {name}" for name in entry.groups[:5]]
    lines += [f"+ {len(entry.groups) - 5} groups more"] if len(entry.groups) > 5 else []
    lines += [f"− {name} (off)" for name in entry.groups_off[:4]]
    lines += [f"− {len(entry.groups_off) - 4} more off"] if len(entry.groups_off) > 4 else []
    nodes = [Node(head="input", lines=(*lines, *entry.more), cls="input")]
    for layer in drawn.layers:
        skip = layer.op == IDENTITY
        width = (f"{layer.width} channels",) if layer.width is not None else ()
        nodes.append(
            Node(
                head=layer.op,
                lines=(*width, *layer.details, *(("passes through",) if skip else ())),
                cls="layer skip" if skip else "layer",
                width=layer.width,
                bypass=layer.op in BYPASSED,
            )
        )
    if drawn.other:
        nodes.append(Node(head="other choices", lines=tuple(f"{k} {v}" for k, v in drawn.other), cls="other"))
    nodes.append(Node(head="signal", lines=("linear head",), cls="output"))
    return nodes


def _columns(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} columns"


def _box(sheet: Sheet, node: Node, box: tuple[float, float, float, float], widest: int, *, wide: bool) -> None:
    x, y, w, h = box
    sheet.add("rect", x=x, y=y, width=w, height=h, rx=5, class_=f"node {node.cls}")
    size = 15.0 if text_width(node.head, 15) < w - 20 else 12.0
    sheet.text(x + 12, y + 24, fit(node.head, w - 18, size), "node-head" if size == 15 else "node-head small")
    for i, line in enumerate(node.lines):
        sheet.text(x + 12, y + 43 + 17 * i, fit(line, w - 18), "node-line")
    if node.width and widest:
        sheet.add("rect", x=x + 12, y=y + h - 11, width=w - 24, height=4, class_="bar back")
        sheet.add(
            "rect", x=x + 12, y=y + h - 11, width=max(2.0, (w - 24) * node.width / widest), height=4, class_="bar"
        )
    if node.bypass and wide:
        sheet.add(
            "path", d=f"M{x - 13:.1f} {y + h / 2:.1f}V{y - 16:.1f}H{x + w + 13:.1f}V{y + h / 2:.1f}", class_="edge skip"
        )
        sheet.text(x + w / 2, y - 21, "added back", "tick", "middle")
    elif node.bypass:
        sheet.add(
            "path",
            d=f"M{x + w / 2:.1f} {y - 15:.1f}H{x + w + 20:.1f}V{y + h + 13:.1f}H{x + w / 2:.1f}",
            class_="edge skip",
        )
        at = (x + w + 34, y + h / 2)
        sheet.add(
            "text",
            "added back",
            x=at[0],
            y=at[1],
            class_="tick",
            text_anchor="middle",
            transform=f"rotate(-90 {at[0]:.1f} {at[1]:.1f})",
        )


def _arrow(
    sheet: Sheet, x: float, y: float, h: float, gap: float, w: float, *, wide: bool, first: bool, left: float
) -> None:
    if not wide:
        middle = x + w / 2
        sheet.line(middle, y - gap, middle, y - 6, "edge")
        sheet.add("path", d=f"M{middle:.1f} {y - 1:.1f}l-5 -8h10Z", class_="head")
    elif first:
        middle = x + w / 2
        sheet.add("path", d=f"M{left - w / 2:.1f} {y - 46:.1f}V{y - 38:.1f}H{middle:.1f}V{y - 6:.1f}", class_="edge")
        sheet.add("path", d=f"M{middle:.1f} {y - 1:.1f}l-5 -8h10Z", class_="head")
    else:
        middle = y + h / 2
        sheet.line(x - gap, middle, x - 6, middle, "edge")
        sheet.add("path", d=f"M{x - 1:.1f} {middle:.1f}l-8 -5v10Z", class_="head")
