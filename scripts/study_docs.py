"""Writes docs/study.md, every key of a study file, from the dataclasses that are its sections.

python scripts/study_docs.py --write     after changing a section
python scripts/study_docs.py --check     what scripts/check and the tests ask
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import tomli_w

from tradenas.data import SAMPLES
from tradenas.data.synthetic import KINDS
from tradenas.features import INDICATORS, TRANSFORMS
from tradenas.nn.activations import ACTIVATIONS
from tradenas.nn.norms import NORMS
from tradenas.nn.ops import OPS
from tradenas.search.base import METHODS
from tradenas.search.methods import SPOS
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.find import FINDERS
from tradenas.search.parts.oneshot import OneShot
from tradenas.space import BLUEPRINTS
from tradenas.study.config import StudyConfig
from tradenas.train.evaluate import METRICS
from tradenas.train.fees import COSTS
from tradenas.trials.baselines import BASELINES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "study.md"
HEAD = """\
# Study files

<!-- Written by scripts/study_docs.py from the docstrings of the dataclasses; change those, then run `make docs`. -->

A study file is TOML.  Every section is a frozen dataclass of the package, every key a field of it; a key that is not
given has its default, and a key that does not exist is refused with the nearest one that does.  All faults of a file
are told at once.  The resolved file, with every default written out, lies in the run folder as `study.toml`.

```toml
name = "btc-1h"

[data]
source = "btc.parquet"        # relative to the study file

[space]
depths = [1, 2, 3]
widths = [16, 32]

[search]
kind = "spos"
num_ranked = 500
```

    tradenas run btc.toml --set search.training.epochs=20 --set trials.top_k=3
"""


def described(kind: type[Any]) -> dict[str, str]:
    """Field -> what its docstring says, from the `Attributes:` or `Args:` part, or from that of a base."""
    lines = inspect.cleandoc(kind.__doc__ or "").splitlines()
    told: dict[str, str] = {}
    for base in kind.__bases__:
        if is_dataclass(base):
            told |= described(base)
    name = ""
    inside = False
    for line in lines:
        if not line.startswith(" "):
            inside = line.strip() in ("Attributes:", "Args:")
        elif inside and (found := re.match(r"    (\w+): (.*)", line)):
            name = found[1]
            told[name] = found[2].strip()
        elif inside and name:
            told[name] += " " + line.strip()
    return told


def default_of(part: Field[Any]) -> Any:
    """The default of a field; `...` where it must be given."""
    if part.default is not MISSING:
        return part.default
    return part.default_factory() if part.default_factory is not MISSING else ...


def written(value: Any) -> str:
    """A value as TOML has it; long lists one below the other."""
    if value is ...:
        return "must be given"
    plain = list(value) if isinstance(value, tuple) else value
    text = tomli_w.dumps({"x": plain}).removeprefix("x = ").strip()
    if isinstance(plain, list):
        items = [tomli_w.dumps({"x": item}).removeprefix("x = ").strip() for item in plain]
        text = f"[{', '.join(items)}]" if len(items) < 9 else f"[{items[0]}, ... {len(items)} in all]"
    return f"`{text}`"


def table(kind: type[Any], defaults: Any, base: Any = None) -> list[str]:
    """The rows of one section: its own keys, not those of sections below it, nor those that are as in `base`."""
    hints, told = get_type_hints(kind), described(kind)
    rows = ["| key | default | meaning |", "| --- | --- | --- |"]
    for part in fields(kind):
        value = getattr(defaults, part.name, default_of(part))
        shared = hasattr(base, part.name) and getattr(base, part.name) == value
        if is_dataclass(value) or repeated(hints[part.name]) or shared:
            continue
        if part.name not in told and part.name != "kind":
            raise SystemExit(f"{kind.__module__}.{kind.__name__}: the docstring does not say what {part.name!r} is")
        allowed = [str(a) for a in get_args(hints[part.name]) if isinstance(a, str)]
        choices = f" One of {', '.join(f'`{a}`' for a in allowed)}." if len(allowed) > 1 else ""
        meaning = told.get(part.name, "which of the registered kinds this section is.")
        rows.append(f"| `{part.name}` | {written(value)} | {_cell(meaning)}{choices} |")
    return rows


def repeated(hint: Any) -> Any:
    """The dataclass of a field that holds any number of them, as `[[...]]` writes it; None for other fields."""
    inner = get_args(hint)[:1]
    return inner[0] if inner and is_dataclass(inner[0]) else None


def _cell(text: str) -> str:
    text = re.sub(r"\s+", " ", text).replace("|", "\\|")
    return text if text[1:2] in ", " else text[:1].upper() + text[1:]


def section(path: str, kind: type[Any], defaults: Any, about: str = "", base: Any = None) -> list[str]:
    """A heading and a table for a dataclass, then for the dataclasses within it; what is as in `base` is left out."""
    first = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    lines = ["", f"## `[{path}]`{about}" if path else "## Top of the file", "", first, "", *table(kind, defaults, base)]
    for part in fields(kind):
        value = getattr(defaults, part.name, default_of(part))
        if each := repeated(get_type_hints(kind)[part.name]):
            lines += section(f"[{path}.{part.name}]", each, each, ", any number of times")
        if is_dataclass(value) and not isinstance(value, type):
            inner = f"{path}.{part.name}" if path else part.name
            if inner == "search.find" and base is None:
                continue  # stands by itself, below
            if inner == "search":
                lines += searches()
            elif inner == "space":
                for name in BLUEPRINTS:
                    lines += section("space", BLUEPRINTS[name], BLUEPRINTS[name](), f', kind = "{name}"')
            elif not hasattr(base, part.name) or getattr(base, part.name) != value:
                lines += section(inner, type(value), value, about if path == "search" else "")
    return lines


def searches() -> list[str]:
    """The methods; what all one-shot methods share stands once, before what is each one's own."""
    common = SPOS()
    lines = section("search", OneShot, common, ", of every one-shot method")
    for name in FINDERS:
        lines += section("search.find", FINDERS[name], FINDERS[name](), f', kind = "{name}"')
    lines += section("search", Differentiable, Differentiable(), ", of every differentiable method besides", common)
    for name in METHODS:
        method = METHODS[name]
        shared = common if issubclass(method, OneShot) else None
        shared = Differentiable() if issubclass(method, Differentiable) else shared
        lines += section("search", method, method(), f', kind = "{name}"', shared)
    return lines


def names() -> list[str]:
    """What stands behind the words that a study file may use."""
    lines = ["", "## Names", "", "| where | known names |", "| --- | --- |"]
    for where, known in (
        ("`metric`", METRICS),
        ("`data.source`", [*(f"sample:{s}" for s in SAMPLES), *(f"planted:{k}" for k in KINDS)]),
        ("`features.indicators`", [name for name in INDICATORS if INDICATORS[name].builtin]),
        ("`space.transforms`", TRANSFORMS),
        ("`space.column_ops`", [*TRANSFORMS, "drop"]),
        ("`space.groups`", dict.fromkeys(INDICATORS[n].group for n in INDICATORS if INDICATORS[n].builtin)),
        ("`space.ops`", OPS),
        ("`space.activations`", ACTIVATIONS),
        ("`space.norms`", NORMS),
        ("`search.kind`", METHODS),
        ("`search.find.kind`", FINDERS),
        ("`trials.baselines`", BASELINES),
    ):
        lines.append(f"| {where} | {', '.join(f'`{name}`' for name in known)} |")
    lines += [
        "",
        "Cost presets to copy into `[costs]` (taker, slippage, in basis points): "
        + "; ".join(f"{name} {cost.taker_bps:g}, {cost.slippage_bps:g}" for name, cost in COSTS.items())
        + ".",
    ]
    return lines


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join([*section("", StudyConfig, StudyConfig()), *names()]) + "\n"


def main(arguments: list[str]) -> int:
    """`--write` writes the page; `--check` says whether it is up to date."""
    if arguments == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if arguments != ["--check"]:
        print(__doc__, file=sys.stderr)
        return 2
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        print("docs/study.md is not what the docstrings say; run: make docs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
