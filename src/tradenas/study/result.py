"""What a study left behind, as an object: the verdict, tables of strategies and of daily P&L, a card in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradenas.atomic import read_json
from tradenas.study.folder import RunFolder

if TYPE_CHECKING:
    import polars as pl

__all__ = ["StudyResult"]

COLOURS = {"EDGE": "#1a7f4b", "NO EVIDENCE": "#9a6700", "NO EDGE": "#0969a8"}


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What a study left behind; in a notebook it shows itself as a card.

    Attributes:
        folder: the run folder.
        verdict: `EDGE`, `NO EVIDENCE` or `NO EDGE`.
        facts: all of `verdict.json`.
    """

    folder: Path
    verdict: str
    facts: Mapping[str, Any]

    @property
    def exit_code(self) -> int:
        """0 for an edge, 3 for none."""
        return 0 if self.verdict == "EDGE" else 3

    @classmethod
    def load(cls, path: Path | str) -> StudyResult:
        """The result of a run folder.

        Raises:
            FolderError: no run folder, or one without a verdict.
        """
        folder = RunFolder.existing(Path(path))
        facts = folder.read(folder.verdict)
        return cls(folder=folder.path, verdict=facts["verdict"], facts=facts)

    def strategies(self) -> pl.DataFrame:
        """A row for each strategy and zone: `name, kind, zone, params`, then its figures after costs."""
        import polars as pl

        told = read_json(RunFolder(self.folder).strategies)["strategies"]
        rows = [
            {"name": row["name"], "kind": row["kind"], "zone": zone, "params": row["params"], **row[zone]}
            for row in told
            for zone in ("selection", "vault")
            if row[zone] is not None
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def markets(self) -> pl.DataFrame:
        """A row for each strategy, zone and market of a portfolio: `name, kind, zone, symbol`, then its figures there.

        Nets and turnovers of a strategy add up to the portfolio's.  No rows for a study of one market.
        """
        import polars as pl

        told = read_json(RunFolder(self.folder).strategies)["strategies"]
        rows = [
            {"name": row["name"], "kind": row["kind"], "zone": zone, **market}
            for row in told
            for zone, markets in row.get("markets", {}).items()
            for market in markets
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def daily(self) -> pl.DataFrame:
        """Daily P&L as a share of capital: `zone, name, day` (UTC date), `net, gross, turnover`."""
        import polars as pl

        return pl.read_parquet(RunFolder(self.folder).daily).with_columns(
            pl.from_epoch(pl.col("day"), time_unit="ms").dt.date()
        )

    def _repr_html_(self) -> str:
        """A card for notebooks: the verdict, why, what would change it, and the figures that it rests on."""
        facts = self.facts
        net, spa = facts["net_sharpe"], facts["spa"]
        figures = {
            "champion": facts["champion"]["name"],
            "net Sharpe ratio": f"{net['value']:.2f} [{net['low']:.2f}, {net['high']:.2f}] over {facts['days']} days",
            "best baseline": f"{facts['baseline_sharpe']['value']:.2f} ({facts['best_baseline']})",
            "SPA p": f"{spa['p_consistent']:.3f} against {spa['benchmark']}",
            "DSR, PSR": f"{facts['dsr']:.3f}, {facts['psr']:.3f}",
            "trials counted": f"{facts['trials']['total']:,}",
            "folder": str(self.folder),
        }
        rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in figures.items())
        lists = "".join(
            f"<b>{head}</b><ul>{''.join(f'<li>{escape(words)}</li>' for words in facts[key])}</ul>"
            for head, key in (("Why", "why"), ("What would change it", "would_change"))
            if facts[key]
        )
        mark = f"<p><b>{escape(facts['watermark'])}</b></p>" if facts.get("watermark") else ""
        return (
            f'<div style="max-width:48rem;border-left:6px solid {COLOURS.get(self.verdict, "#555")};padding-left:1rem">'
            f"<h3>{escape(self.verdict)}</h3>{mark}{lists}<table>{rows}</table></div>"
        )
