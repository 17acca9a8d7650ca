"""Each statistic of the report: its name, its formula, where it comes from.  Shown on hover and listed at the end."""

from __future__ import annotations

from dataclasses import dataclass

from tradenas.report.markup import Markup, el
from tradenas.report.record import RunRecord
from tradenas.report.wording import count

__all__ = ["FORMULAS", "Formula", "hint", "term"]


@dataclass(frozen=True)
class Formula:
    """A statistic: `meaning` for a trader, `formula` for a reviewer."""

    name: str
    meaning: str
    formula: str
    source: str = ""


FORMULAS: dict[str, Formula] = {
    "sharpe": Formula(
        "Net Sharpe",
        "Return a unit of risk after costs, on UTC days, flat days included.",
        "mean(d) / std(d, ddof 1) × √(days a year); d = daily net P&L; interval: stationary bootstrap",
        "Sharpe 1994; Politis and Romano 1994",
    ),
    "spa": Formula(
        "SPA p",
        "How often luck alone would give so good a best-of-many, against the best baseline.",
        "P( max_k √D·mean(d_k) / ω_k ≥ observed ), stationary bootstrap, recentred; "
        "d_k = net P&L of k less the benchmark's",
        "Hansen 2005",
    ),
    "stepm": Formula(
        "StepM",
        "Which finalists beat the benchmark when all of them are tested together.",
        "stepwise max-statistic test at a family-wise error of 5 %",
        "Romano and Wolf 2005",
    ),
    "mcs": Formula(
        "Cannot be told from the best",
        "Finalists and baselines that these days cannot tell from the best of them: many means too few days to choose.",
        "model confidence set at 10 % on mean daily net P&L, range statistic, stationary bootstrap",
        "Hansen, Lunde and Nason 2011",
    ),
    "cpcv": Formula(
        "Sharpe of a path",
        "One recombined history: every stretch judged by a training on stretches before and after it.",
        "combinatorial purged cross-validation: C(N, k) trainings, k/N·C(N, k) paths; net Sharpe of each path's days",
        "López de Prado 2018, ch. 12",
    ),
    "psr": Formula(
        "PSR",
        "Probability that the true Sharpe is above zero, if only one strategy had been tried.",
        "Φ( (SR − 0)·√(D−1) / √(1 − γ₃·SR + (γ₄−1)/4·SR²) ), SR per day",
        "Bailey and López de Prado 2012",
    ),
    "dsr": Formula(
        "DSR",
        "Probability that the true Sharpe, in the selection zone, beats the best that luck gives over all trials. "
        "Conservative: 0.6 is no failure.",
        "PSR at SR* = √V·[(1−γ)·Φ⁻¹(1−1/N) + γ·Φ⁻¹(1−1/(N·e))], V = variance of SR over N trials, γ = 0.5772",
        "Bailey and López de Prado 2014",
    ),
    "pbo": Formula(
        "PBO",
        "How often the best of one half of the days is below the median in the other half. 0.5 is chance.",
        "share of CSCV splits with ln(ω/(1−ω)) < 0, ω = relative rank out of sample of the in-sample best",
        "Bailey, Borwein, López de Prado and Zhu 2017",
    ),
    "mintrl": Formula(
        "Minimum track record",
        "Days needed before this Sharpe could be told from zero.",
        "1 + (1 − γ₃·SR + (γ₄−1)/4·SR²)·(z₀.₉₅ / SR)²",
        "Bailey and López de Prado 2012",
    ),
    "tau": Formula(
        "Kendall τ",
        "1 when the supernet ranks as standalone training does, 0 when it knows nothing.",
        "(concordant − discordant) / √((n₀−n₁)(n₀−n₂)) over pairs; interval: bootstrap over architectures",
        "Kendall 1945 (τ-b)",
    ),
    "regret": Formula(
        "Regret",
        "What trusting the supernet's favourite costs, among the architectures that were trained alone.",
        "best standalone score − standalone score of the architecture with the best supernet score",
    ),
    "held": Formula(
        "Chance to hold the best",
        "How likely the true best candidate is among those retrained, by the supernet's τ.",
        "P( #{n : X_n > X_best} < k ), Gaussian copula with ρ = sin(π·τ/2); interval: that of τ, at least Wilson's for "
        "the share of concordant pairs",
        "Kruskal 1958; Wilson 1927",
    ),
    "turnover": Formula(
        "Turnover",
        "How much of the capital changes hands a day.",
        "Σ |position_t − position_{t−1}| of a day, averaged over days; from +1 to −1 counts 2",
    ),
    "costs": Formula(
        "Costs",
        "What a unit of turnover pays.",
        "net P&L_t = position_t · return_t − cost · |position_t − position_{t−1}|; cost = taker fee + slippage. Where "
        "funding is charged, − position_t · Σ rates settled after its fill, up to and including the next fill",
    ),
    "trials": Formula(
        "Trials",
        "Every score anybody, or any search, has looked at; each one is a chance to be lucky.",
        "rows of the ledger; effective number: ρ̄ + (1 − ρ̄)·N with ρ̄ the mean correlation of daily P&L",
        "López de Prado 2014",
    ),
    "breakeven": Formula(
        "Break-even cost",
        "The cost at which nothing is left.",
        "(gross P&L − funding) / turnover",
    ),
    "drawdown": Formula(
        "Drawdown",
        "How far the P&L sits below its highest point so far.",
        "max(0, max over s ≤ t of P&L_s) − P&L_t, P&L summed and not compounded",
    ),
    "profit_factor": Formula("Profit factor", "Won for each unit lost.", "Σ gains / Σ losses of net P&L"),
    "accuracy": Formula(
        "Accuracy", "How often the direction was right.", "share of rows with sign(signal) = sign(target)"
    ),
    "ic": Formula("IC", "How the signal goes with what it forecasts.", "rank correlation of signal and target"),
}  # fmt: skip


def hint(key: str, record: RunRecord) -> str:
    """The words of the hover text: meaning, formula, and over how many trials."""
    formula = FORMULAS[key]
    trials = record.verdict.trials.total if record.verdict is not None else None
    counted = f" · {count(trials)} trials counted" if trials is not None else ""
    return f"{formula.meaning} {formula.formula}{counted}"


def term(key: str, record: RunRecord, words: str | None = None) -> Markup:
    """The name of a statistic, with its formula on hover and a link to it for those who cannot hover."""
    return el("a", words or FORMULAS[key].name, href=f"#formula-{key}", title=hint(key, record), class_="term")
