"""The card of an export: what left, where from, what it reads, what its number means, and what was proved of it.

`card.json` is what `tradenas.formats.live` reads; `card.md` says the same to people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tradenas.atomic import sha256_file, write_json, write_text
from tradenas.formats.base import Options, Written, program_digest
from tradenas.formats.program import Program

__all__ = ["CARD", "PAGE", "Column", "Origin", "Signal", "write_card"]

CARD, PAGE = "card.json", "card.md"

LICENCE = "The weights are yours. Code that tradenas wrote into this folder may be used under any terms you like."

#: What a verdict means for who wants to trade the export.
CAUTION = {
    "EDGE": "On rows it had never seen it earned more than the best baseline, after costs, and that is unlikely to be "
    "luck. It is still one market and one period.",
    "NO EVIDENCE": "Whether it earns anything is not known: on rows it had never seen its profit could be luck.",
    "NO EDGE": "It has NO EDGE: on rows it had never seen it earned no more than the best baseline, or nothing. Do not "
    "trade it in the hope of a profit.",
}
UNJUDGED = "It was never judged on rows it had not been chosen on: nothing is known of what it earns."


@dataclass(frozen=True, kw_only=True)
class Column:
    """One number of a row.

    Attributes:
        name: as the study calls it, e.g. `zscore(rsi_14)`.
        indicator: what is computed of the candles, and its words.
        meaning: of the indicator; empty where nobody wrote it down.
        transform: that is applied to it.
        scale: meaning of the transform.
        window: rows that the transform looks back over.
        table: its column of the run's feature table.
    """

    name: str
    indicator: str
    meaning: str
    transform: str
    scale: str
    window: int
    table: int


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What the number means that comes out.

    Attributes:
        kind: `binary` or `regression`.
        words: in a sentence.
        scale: the output times this, and times the row's volatility where `by_volatility`, is the forecast.
        by_volatility: whether the row's usual move, known at the row, is a factor of the forecast.
        usual: mean |signal| on calibration rows, which the no-trade band is measured in; of each market of a panel.
        bars: what a row is.
    """

    kind: str
    words: str
    scale: float
    by_volatility: bool
    usual: tuple[float, ...]
    bars: str


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where an export comes from.

    Attributes:
        run: name of the run folder.
        study: digest of the study.
        version: of the package that exports.
        made_with: versions and CPU that the run was made with.
        strategy: its name in the run's report.
        architecture: choices and options.
        digest: of the architecture.
        words: the architecture in a line.
        seeds: how many trainings speak, as the mean of their outputs.
        columns: of a row, in order.
        signal: what comes out.
        verdict: of the run on its vault: `EDGE`, `NO EVIDENCE`, `NO EDGE`; None where there is none.
        why: the verdict's reasons.
        champion: whether it is this strategy that was judged.
        watermark: what the run brands its results with; None for nothing.
    """

    run: str
    study: str
    version: str
    made_with: Mapping[str, Any]
    strategy: str
    architecture: Mapping[str, Any]
    digest: str
    words: str
    seeds: int
    columns: tuple[Column, ...]
    signal: Signal
    verdict: str | None
    why: tuple[str, ...]
    champion: bool
    watermark: str | None = None

    @property
    def caution(self) -> str:
        """What the verdict means for who wants to trade this."""
        if self.verdict is None or not self.champion:
            return UNJUDGED
        return CAUTION[self.verdict] + (f" Marked: {self.watermark}." if self.watermark else "")


def write_card(
    folder: Path, origin: Origin, program: Program, options: Options, written: Mapping[str, Written],
    proofs: Sequence[Any] = (),
) -> tuple[Path, Path]:  # fmt: skip
    """Writes `card.json` and `card.md`.

    Args:
        folder: of the export.
        origin: where it comes from.
        program: that left.
        options: how it was asked for.
        written: of each format, what it left.
        proofs: that are of no format, e.g. that the program says what was traded.
    """
    all_proofs = [*proofs, *(p for w in written.values() for p in w.proofs)]
    card: dict[str, Any] = {
        "card": 1,
        **asdict(origin),
        "caution": origin.caution,
        "program": {
            "digest": program_digest(program),
            "reach": program.reach,
            "parameters": program.parameters,
            "macs_per_row": program.macs(),
            "macs_per_window": program.window_macs(),
            "steps": program.describe(),
        },
        "batch": options.batch,
        "files": {
            name: [
                {"name": str(f.relative_to(folder)), "bytes": f.stat().st_size, "sha256": sha256_file(f)}
                for f in w.files
            ]
            for name, w in written.items()
        },
        "facts": {name: dict(w.facts) for name, w in written.items() if w.facts},
        "proofs": [p.to_json() for p in all_proofs],
        "licence": [LICENCE, *(note for w in written.values() for note in w.notes)],
    }
    write_json(folder / CARD, card)
    write_text(folder / PAGE, _markdown(card, [p.words() for p in all_proofs]))
    return folder / CARD, folder / PAGE


def _markdown(card: Mapping[str, Any], proved: Sequence[str]) -> str:
    program, signal = card["program"], card["signal"]
    lines = [
        f"# {card['strategy']} of {card['run']}",
        "",
        f"**{card['verdict'] or 'NOT JUDGED'}.** {card['caution']}",
        "",
        *(f"- {reason}" for reason in card["why"] if card["champion"]),
        "",
        "## What it is",
        "",
        f"{card['words']}  ",
        f"{_many(card['seeds'], 'training')}, architecture `{card['digest']}`, study `{card['study']}`, "
        f"tradenas {card['version']}.",
        "",
        f"{program['parameters']:,} parameters; {program['macs_per_row']:,} multiply-accumulates a row when streaming, "
        f"{program['macs_per_window']:,} a window. One signal reads {_many(program['reach'], 'row')}.",
        "",
        "## What comes out",
        "",
        signal["words"],
        "",
        f"Rows are {signal['bars']}. A row or window that holds NaN or infinity gives NaN, and so does a stream before "
        f"it has seen {_many(program['reach'], 'row')}.",
        "",
        "## What goes in",
        "",
        "Each row, in this order, as the study computed it (float32):",
        "",
        "| # | column | of the candles | then |",
        "| --- | --- | --- | --- |",
        *(
            f"| {i} | `{c['name']}` | {c['meaning'] or c['indicator']} | {c['scale']} ({c['window']} rows) |"
            for i, c in enumerate(card["columns"])
        ),
        "",
        "## What was proved",
        "",
        *(f"- {words}" for words in proved),
        "",
        "## Files",
        "",
        *(
            f"- `{file['name']}` ({name}): {file['bytes']:,} bytes"
            for name, files in card["files"].items()
            for file in files
        ),
        "",
        *(line for name, facts in card["facts"].items() for line in (f"### {name}", "", *_listed(facts), "")),
        "## Licence",
        "",
        *(f"- {line}" for line in card["licence"]),
        "",
    ]
    return "\n".join(lines)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _listed(facts: Mapping[str, Any], deep: int = 0) -> list[str]:
    """Facts as a list within lists; what holds no further names stands on one line."""
    lines = []
    for key, value in facts.items():
        words = str(key).replace("_", " ")
        if isinstance(value, Mapping) and any(isinstance(v, Mapping | list | tuple) for v in value.values()):
            lines += [f"{'  ' * deep}- {words}", *_listed(value, deep + 1)]
        elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
            lines += [f"{'  ' * deep}- {words}", *(f"{'  ' * deep}  - {_told(v)}" for v in value)]
        else:
            lines.append(f"{'  ' * deep}- {words}: {_told(value)}")
    return lines


def _told(facts: Any) -> str:
    """On one line."""
    if isinstance(facts, Mapping):
        return ", ".join(f"{str(key).replace('_', ' ')} {_told(value)}" for key, value in facts.items())
    if isinstance(facts, list | tuple):
        return f"[{', '.join(map(_told, facts))}]"
    return f"{facts:.4g}" if isinstance(facts, float) else str(facts)
