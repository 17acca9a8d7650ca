"""A cell as a graph: nodes one below the other, each edge an arc with its op, what nothing hears left out."""

from __future__ import annotations

from collections.abc import Mapping

from tradenas.report.describe import describe, live_edges
from tradenas.report.markup import Markup
from tradenas.report.svg import Sheet, fit

__all__ = ["draw_cell"]

ROW, BOX_W, BOX_H = 78.0, 128.0, 40.0


def draw_cell(mapping: Mapping[str, object], *, width: int) -> Markup:
    """Nodes 0 (and 1) are earlier outputs; the farther an edge leads, the farther out its arc swings."""
    edges, inputs = live_edges(mapping)
    names = ["last cell"] if inputs == 1 else ["cell before", "last cell"]
    outputs = {target for _, target, _ in edges}
    if mapping["cell/output"] == "last":
        outputs &= {max(outputs, default=0)}
    shown = sorted({*range(inputs), *(n for i, j, _ in edges for n in (i, j))})
    y = {node: 6.0 + ROW * at for at, node in enumerate(shown)}
    place = {node: at for at, node in enumerate(shown)}
    swing = min(92.0, (width - BOX_W - 110.0) / max([place[j] - place[i] for i, j, _ in edges], default=1))
    sheet = Sheet(width, ROW * len(shown) + 4, f"Architecture: {describe(mapping)}.")
    x = BOX_W + 10.0
    for i, j, op in edges:
        out = x + 16.0 + swing * (place[j] - place[i])
        y1, y2 = y[i] + 28.0, y[j] + 12.0
        cls = "edge skip" if op == "skip" else "edge"
        sheet.add("path", d=f"M{x:.1f} {y1:.1f}C{out:.1f} {y1:.1f} {out:.1f} {y2:.1f} {x + 8:.1f} {y2:.1f}", class_=cls)
        sheet.add("path", d=f"M{x:.1f} {y2:.1f}l8 -5v10Z", class_="head")
        at = x + 0.75 * (out - x) + 6.0
        sheet.text(at, (y1 + y2) / 2 + 4.0, fit(op, width - at), "node-line label")
    for node in shown:
        first = node < inputs
        kind = "node input" if first else "node layer"
        sheet.add("rect", x=10.0, y=y[node], width=BOX_W, height=BOX_H, rx=5, class_=kind)
        head = names[node] if first else f"node {node}"
        sheet.text(20.0, y[node] + 17.0, head, "node-head small")
        sheet.text(20.0, y[node] + 33.0, "input" if first else "to the output" if node in outputs else "", "node-line")
    return sheet.svg()
