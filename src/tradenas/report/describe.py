"""An architecture in words: one line for a table, parts for a drawing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tradenas.report.schema import Strategy
from tradenas.space import Architecture, Graph
from tradenas.space.switches import COLUMN, QUANT, names_by_op, ops_in_words

__all__ = ["ArchitectureInput", "Drawn", "Layer", "describe", "live_edges", "parts", "speaks"]

LAYER = re.compile(r"layer(\d+)/(.+)")
SWITCH = re.compile(r"input/(?:group|feature)/(.+)")


@dataclass(frozen=True, kw_only=True)
class ArchitectureInput:
    """What goes in; `groups` and `groups_off` hold single indicators too, where these are switched.

    `columns` holds the indicators under each op, where they have ops of their own.
    """

    lookback: str | None
    transform: str | None
    columns: Mapping[str, Sequence[str]]
    groups: tuple[str, ...]
    groups_off: tuple[str, ...]
    more: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer; `more` holds choices that have no room of their own, as `name value`."""

    index: int
    op: str
    width: int | None
    details: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A chain as its drawing needs it; `other` are choices outside input and layers."""

    input: ArchitectureInput
    layers: tuple[Layer, ...]
    other: tuple[tuple[str, str], ...]


def parts(architecture: Mapping[str, object]) -> Drawn:
    """Sorts the choices of an architecture into input, layers and anything else; knows no fixed set of them."""
    given = {key: _word(value) for key, value in architecture.items()}
    groups = {found[1]: value for key, value in given.items() if (found := SWITCH.fullmatch(key))}
    shown = {"input/lookback", "input/transform", "depth"}
    layers: dict[int, dict[str, object]] = {}
    for key, value in architecture.items():
        if found := LAYER.fullmatch(key):
            layers.setdefault(int(found[1]), {})[found[2]] = value
    shown |= {key for key in given if key.startswith(COLUMN)}
    more = [k for k in given if k.startswith("input/") and k not in shown and not SWITCH.fullmatch(k)]
    return Drawn(
        input=ArchitectureInput(
            lookback=given.get("input/lookback"),
            transform=given.get("input/transform"),
            columns=names_by_op(architecture),
            groups=tuple(name for name, value in groups.items() if value != "off"),
            groups_off=tuple(name for name, value in groups.items() if value == "off"),
            more=tuple(f"{key.removeprefix('input/')} {given[key]}" for key in more),
        ),
        layers=tuple(_layer(index, layers[index]) for index in sorted(layers)),
        other=tuple(
            (k.removeprefix(QUANT), v)
            for k, v in (_cell(architecture) if "cells" in given else given).items()
            if not k.startswith("input/") and k not in shown and not LAYER.fullmatch(k)
        ),
    )


def live_edges(architecture: Mapping[str, object]) -> tuple[tuple[tuple[int, int, str], ...], int]:
    """The edges of a cell that matter, as source, target and op; and how many inputs it has."""
    plain = Architecture.from_plain(architecture)
    graph = Graph.of(plain, plain["cell/output"])
    return tuple((e.source, e.target, e.op) for e in graph.live_edges(plain)), graph.inputs


def _cell(architecture: Mapping[str, object]) -> dict[str, str]:
    """A cell in words: how many, how wide, and edge by edge."""
    edges = ", ".join(f"{i}-{j} {op}" for i, j, op in live_edges(architecture)[0])
    number = int(str(architecture["cells"]))
    norm = "" if architecture.get("cell/norm", "none") == "none" else f", {architecture['cell/norm']} norm"
    many = f"{number} cell{'s' if number > 1 else ''} of {architecture['cell/width']}"
    once = " once a node" if architecture.get("cell/follow") == "sum" else ""
    rounded = {key: _word(value) for key, value in architecture.items() if key.startswith(QUANT)}
    return {many: f"{architecture['cell/activation']}{norm}{once}", "edges": edges or "none", **rounded}


def _layer(index: int, choices: dict[str, object]) -> Layer:
    width = choices.get("width")
    details = []
    for name, value in choices.items():
        if name in ("op", "width") or (name == "dropout" and value in (0, 0.0)) or (name == "norm" and value == "none"):
            continue
        details.append(
            f"{_word(value)} norm"
            if name == "norm"
            else _word(value)
            if name == "activation"
            else f"{name} {_word(value)}"
        )
    return Layer(
        index=index,
        op=_word(choices.get("op", "?")),
        width=width if isinstance(width, int) and not isinstance(width, bool) else None,
        details=tuple(details),
    )


def describe(architecture: Mapping[str, object] | None) -> str:
    """One line.

    >>> describe({"input/lookback": 50, "input/transform": "zscore", "input/group/volume": "off", "depth": 2,
    ...           "layer0/op": "conv3", "layer0/width": 32, "layer0/activation": "gelu", "layer0/norm": "layer",
    ...           "layer1/op": "gru", "layer1/width": 64})
    '50 candles · zscore · without volume → conv3 32 gelu, layer norm → gru 64'
    >>> describe({"input/lookback": 5, "cells": 2, "cell/width": 8, "cell/activation": "relu", "cell/output": "all",
    ...           "cell/edge0-2/op": "ema4", "cell/edge1-2/op": "zero"})
    '5 candles → 2 cells of 8 relu → edges 0-2 ema4'
    >>> describe({"input/column/rsi_14": "rank", "input/column/body": "drop", "layer0/op": "dense"})
    'rank rsi_14, drop body → dense'
    >>> describe({"layer0/op": "dense", "quant/weights": "4", "quant/activations": "5", "quant/sparsity": 0.5})
    'dense → weights 4 → activations 5 → sparsity 0.5'
    """
    if not architecture:
        return "not an architecture"
    drawn = parts(architecture)
    entry = [f"{drawn.input.lookback} candles"] if drawn.input.lookback is not None else []
    entry += [drawn.input.transform] if drawn.input.transform is not None else []
    entry += [ops_in_words(architecture)] if drawn.input.columns else []
    entry += [f"without {', '.join(drawn.input.groups_off)}"] if drawn.input.groups_off else []
    entry += drawn.input.more
    steps = [" · ".join(entry)] if entry else []
    for layer in drawn.layers:
        head = layer.op if layer.width is None else f"{layer.op} {layer.width}"
        steps.append(" ".join([head, ", ".join(layer.details)]).strip())
    steps += [f"{key} {value}" for key, value in drawn.other]
    return " → ".join(steps)


def speaks(strategy: Strategy) -> str:
    """Who speaks in a strategy: its architecture in a line, or that a router has several."""
    return "several networks, by regime" if strategy.kind == "routed" else describe(strategy.architecture)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
