"""The verdict: rarely EDGE on noise, EDGE on a strong planted edge, never on an edge in one zone only."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.trials.verdict import Verdict, judge

DAYS, FINALISTS, TRIALS = 365, 5, 12
BASELINES = ("buy and hold", "momentum", "ridge")


def study(
    seed: int = 0,
    *,
    vault: float = 0.0,
    selection: float | None = None,
    hold: float = 0.0,
    days: int = DAYS,
    cost: float = 0.0005,
) -> dict[str, Any]:
    """Arguments of `judge`: net-0 has these annual Sharpe ratios in truth, everything else is luck."""
    rng = np.random.default_rng(seed)

    def noise(num: int) -> np.ndarray:
        common, own = rng.standard_t(4, size=(days, 1)), rng.standard_t(4, size=(days, num))
        return 0.01 * (np.sqrt(0.4) * common + np.sqrt(0.6) * own) / np.sqrt(2)

    vault_DK, selection_DN, baselines_DB = noise(FINALISTS), noise(TRIALS), noise(len(BASELINES))
    vault_DK[:, 0] += 0.01 * vault / np.sqrt(365)
    selection_DN[:, 0] += 0.01 * (vault if selection is None else selection) / np.sqrt(365)
    baselines_DB[:, 0] += 0.01 * hold / np.sqrt(365)
    names = [f"net-{i}" for i in range(FINALISTS)]
    best = int((selection_DN[:, :FINALISTS].mean(axis=0) / selection_DN[:, :FINALISTS].std(axis=0)).argmax())
    return {
        "vault_DK": vault_DK,
        "finalists": names,
        "baselines_DB": baselines_DB,
        "baselines": BASELINES,
        "champion": names[best],
        "best_baseline": BASELINES[int(rng.integers(3))],
        "hold": "buy and hold",
        "selection_DN": selection_DN,
        "selection_names": [*names, *(f"random-{i}" for i in range(TRIALS - FINALISTS))],
        "trials_by_stage": {"search": 200, "selection": TRIALS},
        "days_per_year": 365,
        "gross_D": vault_DK[:, best] + cost,
        "reps": 200,
        "seed": seed,
    }


@pytest.fixture(scope="module")
def edge() -> Verdict:
    return judge(**study(1, vault=8.0))


def test_a_strong_edge_is_called_edge(edge: Verdict) -> None:
    assert edge.verdict == "EDGE"
    assert edge.exit_code == 0
    assert edge.champion == "net-0"
    assert all("net-0" in names for names in edge.superior_to.values())
    assert max(edge.spa_against.values()) == edge.spa_consistent < 0.05
    assert edge.psr > 0.99
    assert edge.dsr > 0.95
    assert edge.pbo is not None
    assert edge.pbo < 0.05
    assert edge.min_track_record_days < DAYS
    assert edge.net_sharpe.low < edge.net_sharpe.value < edge.net_sharpe.high


def test_benchmarks_are_the_best_baseline_flat_and_hold() -> None:
    assert set(judge(**study(0) | {"best_baseline": "ridge"}).spa_against) == {"ridge", "flat", "buy and hold"}
    assert set(judge(**study(0) | {"best_baseline": "flat", "hold": None}).spa_against) == {"flat"}
    assert set(judge(**study(0) | {"best_baseline": "buy and hold"}).spa_against) == {"flat", "buy and hold"}


def test_each_benchmark_can_refuse_the_edge_alone() -> None:
    good = study(1, vault=8.0) | {"best_baseline": "ridge"}
    lead = np.asarray(good["vault_DK"])[:, 0]
    assert judge(**good).verdict == "EDGE"
    for column, name in ((0, "buy and hold"), (2, "ridge")):
        strong = np.array(good["baselines_DB"])
        strong[:, column] = lead.mean() - 1e-6 + np.random.default_rng(5).normal(0, 0.01, DAYS)
        strong[:, column] -= strong[:, column].mean() - (lead.mean() - 1e-6)  # just behind the champion
        found = judge(**good | {"baselines_DB": strong})
        assert found.verdict == "NO EVIDENCE"
        assert found.spa_benchmark == name
    # Beating bad baselines is not enough where doing nothing is as good.
    sinking = np.array(good["baselines_DB"]) - 0.02
    idle = study(3, vault=0.0, selection=8.0) | {"baselines_DB": sinking, "best_baseline": "ridge"}
    idle["vault_DK"][:, 0] += 1e-4 - idle["vault_DK"][:, 0].mean()
    found = judge(**idle)
    assert found.spa_against["ridge"] < 0.05
    assert found.spa_benchmark == "flat"
    assert found.verdict == "NO EVIDENCE"


def test_another_finalists_edge_is_not_the_champions() -> None:
    other = study(4, vault=10.0, selection=10.0) | {"champion": "net-2"}
    other["vault_DK"][:, 2] += 2e-4 - other["vault_DK"][:, 2].mean()
    other["baselines_DB"] -= 1e-3
    found = judge(**other)
    assert found.spa_consistent < 0.05
    assert found.verdict == "NO EVIDENCE"
    assert any("net-2, the one chosen beforehand, does not stand out" in line for line in found.why)


def test_too_few_resamples_for_the_p_value_are_no_edge() -> None:
    found = judge(**study(1, vault=8.0) | {"reps": 10})  # the smallest p-value is then 1 / 11
    assert all("net-0" in names for names in found.superior_to.values())
    assert found.spa_consistent == pytest.approx(1 / 11)
    assert found.verdict == "NO EVIDENCE"


def test_an_edge_in_the_vault_only_is_not_an_edge() -> None:
    lucky = study(5, vault=8.0) | {"champion": "net-0"}
    lucky["selection_DN"][:, 0] -= lucky["selection_DN"][:, 0].mean() + 1e-5
    found = judge(**lucky)
    assert found.spa_consistent < 0.05
    assert found.selection_sharpe < 0
    assert found.verdict == "NO EVIDENCE"
    assert any(f"{found.selection_sharpe:.2f}" in line and "one zone only" in line for line in found.why)


def test_an_edge_on_the_selection_zone_only_is_not_an_edge() -> None:
    assert [judge(**study(seed, vault=0.0, selection=10.0)).verdict for seed in range(6, 12)].count("EDGE") == 0


def test_no_edge_when_it_does_not_even_lead() -> None:
    behind = study(1, vault=8.0)
    behind["baselines_DB"] += 0.02
    found = judge(**behind)
    assert found.verdict == "NO EDGE"
    assert found.exit_code == 3
    assert any("bps a day less than" in line for line in found.why)
    worse = study(1, vault=-4.0, selection=8.0)
    worse["baselines_DB"] -= 0.02
    losing = judge(**worse)
    assert losing.spa_against[losing.best_baseline] < 0.05  # far ahead of those that lose more
    assert losing.verdict == "NO EDGE"
    assert any("It lost" in line for line in losing.why)
    assert losing.min_track_record_days == float("inf")
    assert losing.to_json()["min_track_record_days"] is None


def test_noise_is_rarely_called_edge() -> None:
    calls = [judge(**study(seed) | {"reps": 100}).verdict for seed in range(100, 112)]
    assert calls.count("EDGE") <= 1
    assert set(calls) <= {"NO EDGE", "NO EVIDENCE", "EDGE"}


@pytest.mark.slow
def test_size_and_power_of_the_gate() -> None:
    noise = [judge(**study(seed) | {"reps": 200}).verdict for seed in range(1000, 1120)]
    assert noise.count("EDGE") <= 8
    strong = [judge(**study(seed, vault=7.0) | {"reps": 200}).verdict for seed in range(2000, 2030)]
    assert strong.count("EDGE") >= 27


def test_sentences_hold_the_numbers(edge: Verdict) -> None:
    text = " ".join(edge.why)
    for number in (
        f"{edge.net_sharpe.value:.2f}",
        f"{edge.net_sharpe.low:.2f} to {edge.net_sharpe.high:.2f}",
        f"{edge.baseline_sharpe.value:.2f}",
        f"{DAYS} days",
        "212 trials were counted in all (200 search, 12 selection)",
        f"worth {edge.effective_trials:.1f} independent",
        "limit of 0.05",
        f"{edge.pbo:.0%} of splits",
    ):
        assert number in text
    assert not re.search(r"\bnan\b|\binf\b|None", text + " ".join(edge.would_change))


def test_no_evidence_says_how_many_days_it_would_take() -> None:
    weak = study(3, vault=2.0) | {"best_baseline": "flat", "hold": None, "champion": "net-0"}
    found = judge(**weak)
    assert found.verdict == "NO EVIDENCE"
    days = next(line for line in found.would_change if "would tell it from luck" in line)
    needed = int(re.search(r"about ([\d,]+) days", days).group(1).replace(",", ""))  # type: ignore[union-attr]
    lead = weak["vault_DK"][:, 0]
    from scipy.stats import norm

    z = norm.ppf(1 - 0.05 / FINALISTS) * lead.std() / lead.mean()
    assert needed == pytest.approx(z**2, rel=0.1)


def test_costs_are_computed() -> None:
    args = study(1, vault=8.0)
    net, cost = args["vault_DK"][:, 0].mean(), 0.0005
    level = max(args["baselines_DB"][:, BASELINES.index(args["best_baseline"])].mean(), 0.0)
    text = " ".join(judge(**args).would_change)
    assert f"Costs {(net + cost - level) / cost:.1f} times as high" in text
    behind = study(1, vault=8.0) | {"best_baseline": "ridge"}
    behind["baselines_DB"][:, 2] += net + 0.25 * cost - behind["baselines_DB"][:, 2].mean()
    found = judge(**behind)
    assert found.verdict == "NO EDGE"
    assert any("fall to 75% of the present ones" in line for line in found.would_change)
    hopeless = judge(**study(1, vault=-8.0, selection=8.0))
    assert any("even before costs" in line for line in hopeless.would_change)
    silent = judge(**study(1, vault=8.0) | {"gross_D": None})
    assert silent.gross_sharpe is None
    assert not any("osts" in line for line in silent.would_change)


def test_cheaper_trading_saves_no_funding() -> None:
    """What is said about costs is the same, whatever went to funding besides; gross stays gross."""
    args = study(1, vault=8.0)
    plain, paid = judge(**args), judge(**args | {"gross_D": args["gross_D"] + 0.001, "funding_D": np.full(DAYS, 0.001)})
    assert paid.would_change == plain.would_change
    assert paid.gross_sharpe is not None
    assert plain.gross_sharpe is not None
    assert paid.gross_sharpe > plain.gross_sharpe
    assert judge(**args | {"gross_D": args["gross_D"] + 0.001}).would_change != plain.would_change


def test_best_days_carry_the_edge() -> None:
    args = study(1, vault=8.0) | {"best_baseline": "flat", "hold": None}
    lead = np.sort(args["vault_DK"][:, 0])[::-1]
    few = next(n for n in range(1, DAYS) if lead[n:].sum() <= 0)
    assert f"Without its {few} best days of {DAYS}" in " ".join(judge(**args).would_change)


def test_watermark_comes_first_and_stays() -> None:
    found = judge(**study(0) | {"watermark": "the vault was opened 2 times"})
    assert "the vault was opened 2 times" in found.why[0]
    assert found.to_json()["watermark"] == "the vault was opened 2 times"


def test_json_is_plain_and_complete(edge: Verdict) -> None:
    data = json.loads(json.dumps(edge.to_json(), allow_nan=False))
    assert data["verdict"] == "EDGE"
    assert data["trials"] == {"total": 212, "by_stage": {"search": 200, "selection": 12}}
    assert data["champion"]["name"] == "net-0"
    assert data["spa"]["p_consistent"] == max(data["spa"]["against"].values())
    assert "net-0" in data["stepm"]["superior"]
    assert "net-0" in data["confidence_set"]["held"]
    assert data["confidence_set"]["of"] == len(data["confidence_set"]["p"])
    assert "flat" in data["confidence_set"]["p"]
    assert data["net_sharpe"].keys() == {"value", "low", "high"}
    assert data["days"] == DAYS
    assert data["zone"] == "vault"
    for key in (
        "why",
        "would_change",
        "psr",
        "dsr",
        "pbo",
        "effective_trials",
        "min_track_record_days",
        "gross_sharpe",
    ):
        assert key in data


def test_same_seed_same_verdict() -> None:
    assert judge(**study(2)) == judge(**study(2))


@pytest.mark.parametrize("still", [0.0, 0.1])
def test_a_champion_that_never_moves_has_no_edge_claim(still: float) -> None:
    args = study(0) | {"champion": "net-1"}
    args["vault_DK"][:, 1] = still
    args["selection_DN"][:, 1] = still
    found = judge(**args | {"gross_D": None})
    assert found.verdict != "EDGE"
    assert found.net_sharpe.value == 0.0
    json.dumps(found.to_json(), allow_nan=False)


def test_one_finalist_one_trial_few_days() -> None:
    args = study(0, days=30)
    small = args | {
        "vault_DK": args["vault_DK"][:, :1],
        "finalists": ["net-0"],
        "champion": "net-0",
        "selection_DN": args["selection_DN"][:, :1],
        "selection_names": ["net-0"],
        "gross_D": None,
    }
    found = judge(**small)
    assert found.pbo is None
    assert found.effective_trials == 1.0
    assert "PBO" not in " ".join(found.why)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"champion": "net-9"}, "net-9"),
        ({"best_baseline": "lstm"}, "lstm"),
        ({"hold": "holding"}, "holding"),
        ({"finalists": ["a"]}, "1 names"),
        ({"finalists": ["net-0"] * 5}, "twice"),
        ({"baselines_DB": np.zeros((DAYS - 1, 3))}, "days"),
        ({"gross_D": np.zeros(3)}, "gross_D"),
        ({"funding_D": np.zeros(3)}, "funding_D"),
        ({"vault_DK": np.full((DAYS, 5), np.nan)}, "NaN"),
        ({"alpha": 1.0}, "alpha"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        judge(**study(0) | change)
