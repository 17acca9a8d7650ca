"""The audit of candles that passed the gate: how much is missing, what is odd, and whether it is good enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tradenas.data.calendars import DAY_MS, HOUR_MS
from tradenas.data.repairs import Repairs
from tradenas.data.rows import interval_name, iso

if TYPE_CHECKING:
    from tradenas.data.candles import Candles

__all__ = ["MOST_MISSING", "Audit", "Finding", "Repairs", "audit"]

MOST_MISSING = 0.01
ABSURD_JUMP = 0.5  # |log return| between neighbouring bars
ZERO_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One remark: an `error` refuses the candles, a `warning` wants a look, a `note` is for the record."""

    level: Literal["error", "warning", "note"]
    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What the candles are like.  `ok` is False where they should not be used as they are.

    Attributes:
        coverage: bars there / bars expected (grid for 24/7; usual slots, holidays apart, for sessions).
        missing: bars expected and absent.
        holidays: usual trading days that are absent in closures of at most 5 days (sessions).
        gaps: places that no window may span.
        longest_gap_ms: from the close before the longest gap to the open after it.
        longest_gap_row: row after it, None where there is no gap.
        zero_volume: bars without a trade.
        gap_variance_share: share of the sum of squared log returns that sits on rows after a gap.
        largest_jump: largest |log return| between neighbouring bars, in row `largest_jump_row`.
        kurtosis: of log returns between neighbouring bars (3 for a normal law).
    """

    symbol: str
    interval_ms: int
    rows: int
    first_open: int
    last_close: int
    calendar: str
    days_per_year: int
    coverage: float
    missing: int
    holidays: int
    gaps: int
    longest_gap_ms: int
    longest_gap_row: int | None
    zero_volume: int
    gap_variance_share: float
    largest_jump: float
    largest_jump_row: int | None
    kurtosis: float | None
    sha256: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """No finding is an error."""
        return not any(finding.level == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Names as in `data.json` of a run folder, ready for `json.dumps`."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "findings"}
        return {**plain, "ok": self.ok, "findings": [vars(finding) for finding in self.findings]}


def audit(candles: Candles, *, allow_gaps: bool = False) -> Audit:
    """Looks at candles that passed the gate.

    Args:
        candles: at least one row.
        allow_gaps: more than 1 % of missing bars is then a warning, not an error.
    """
    holes, rows = candles.holes, len(candles)
    gap_row = np.flatnonzero(candles.gap_before)
    missing = int(holes.bars[holes.gap].sum())
    gap_ms = candles.open_time[gap_row] - candles.close_time[gap_row - 1]
    jump = np.diff(np.log(candles.close), prepend=np.log(candles.close[:1]))
    squares = jump**2
    total = float(squares.sum())
    plain = np.where(candles.gap_before, 0.0, jump)
    peak = int(np.argmax(np.abs(plain))) if rows > 1 else None
    inner = jump[~candles.gap_before][1:]
    spread = float(np.mean((inner - inner.mean()) ** 2)) if inner.size > 3 else 0.0
    longest = int(np.argmax(gap_ms)) if gap_row.size else None
    facts: dict[str, Any] = {
        "symbol": candles.symbol,
        "interval_ms": candles.interval_ms,
        "rows": rows,
        "first_open": int(candles.open_time[0]),
        "last_close": int(candles.close_time[-1]),
        "calendar": candles.calendar,
        "days_per_year": candles.days_per_year,
        "coverage": rows / (rows + missing),
        "missing": missing,
        "holidays": int(holes.days[~holes.gap].sum()),
        "gaps": int(gap_row.size),
        "longest_gap_ms": 0 if longest is None else int(gap_ms[longest]),
        "longest_gap_row": None if longest is None else int(gap_row[longest]),
        "zero_volume": int(np.count_nonzero(candles.volume == 0)),
        "gap_variance_share": float(squares[gap_row].sum()) / total if total else 0.0,
        "largest_jump": 0.0 if peak is None else float(abs(plain[peak])),
        "largest_jump_row": peak,
        "kurtosis": float(np.mean((inner - inner.mean()) ** 4)) / spread**2 if spread > 1e-30 else None,
        "sha256": candles.sha256,
    }
    still = float(np.mean(inner == 0)) if inner.size else 0.0
    findings = [*_holes(facts, allow_gaps), *_oddities(facts, candles, still)]
    return Audit(**facts, findings=tuple(findings))


def _holes(facts: dict[str, Any], allow_gaps: bool) -> list[Finding]:
    found = []
    if facts["missing"]:
        share = 1 - facts["coverage"]
        row = facts["longest_gap_row"]
        text = (
            f"{facts['missing']} bars are missing ({share:.2%}) in {facts['gaps']} gaps, the longest "
            f"{interval_name(facts['longest_gap_ms'])} before row {row}; they hold "
            f"{facts['gap_variance_share']:.1%} of the variance"
        )
        refused = facts["missing"] > MOST_MISSING * (facts["rows"] + facts["missing"]) and not allow_gaps
        level: Literal["error", "warning"] = "error" if refused else "warning"
        found.append(Finding(level=level, name="missing", text=text))
    if facts["holidays"]:
        found.append(Finding(level="note", name="holidays", text=f"{facts['holidays']} trading days are holidays"))
    return found


def _oddities(facts: dict[str, Any], candles: Candles, still: float) -> list[Finding]:
    """What candles of a testnet, a generator or a broken feed look like."""
    found, rows = [], facts["rows"]

    def warn(name: str, text: str) -> None:
        found.append(Finding(level="warning", name=name, text=text))

    if facts["largest_jump"] > ABSURD_JUMP:
        row = facts["largest_jump_row"]
        at = iso(int(candles.open_time[row]))
        warn("jump", f"close moves by {np.expm1(facts['largest_jump']):.0%} in one bar at row {row} ({at})")
    if rows >= 1_000 and candles.interval_ms < DAY_MS and facts["kurtosis"] is not None and facts["kurtosis"] < 3.5:
        warn("kurtosis", f"kurtosis {facts['kurtosis']:.2f}: real returns have fat tails; is this a generated series?")
    if facts["zero_volume"] > ZERO_SHARE * rows:
        warn("zero_volume", f"{facts['zero_volume']} of {rows} bars have no volume")
    if still > 0.5:
        warn("still", f"the close does not move in {still:.0%} of the bars")
    if candles.turnover is not None:
        traded = (candles.volume > 0) & (candles.turnover > 0)
        ratio = candles.turnover[traded] / (candles.close[traded] * candles.volume[traded])
        typical = float(np.median(ratio)) if ratio.size else 1.0
        if not 0.8 < typical < 1.25:
            warn("turnover", f"turnover is {typical:.3g} x close x volume: is one of them in other units?")
    if facts["last_close"] - facts["first_open"] < HOUR_MS:
        warn("short", f"the candles span {interval_name(facts['last_close'] - facts['first_open'])}")
    return found
