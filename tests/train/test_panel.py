"""Several markets on one grid: as each alone where it can be seen, and never anything from later candles."""

from __future__ import annotations

from dataclasses import replace
from mmap import mmap
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tradenas.data import Candles
from tradenas.data.synthetic import planted
from tradenas.errors import ConfigError
from tradenas.features import Target, build_table
from tradenas.nn import Network, hard
from tradenas.space import Architecture, Chain
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.build import build_dataset, build_panel
from tradenas.train.dataset import Dataset
from tradenas.train.evaluate import Evaluator
from tradenas.train.fit import fit
from tradenas.train.loop import Training, _share
from tradenas.train.loss import Objective
from tradenas.train.panel import Panel, part
from tradenas.train.portfolio import Portfolio
from tradenas.train.segments import Segments, tensor_of
from tradenas.train.stacked import Job, fit_stacked
from tradenas.train.store import load_dataset, save_dataset
from tradenas.train.stream import stream
from tradenas.trials.split_jobs import taught

NAMES = ("log_return_1", "rsi_14")
TARGET = Target(kind="forward_return")
SPACE = Chain(depths=(1,), ops=("dense", "conv3"), widths=(4,), lookbacks=(8,), transforms=("raw",)).space(
    dict.fromkeys(NAMES, "returns")
)
TRAINING = Training(epochs=2, segment=16, batch=96, holdout=0.2)
TRAIN, VALID = Span(40, 420), Span(440, 580)


def market(seed: int, bars: int = 600, name: str = "") -> Candles:
    found = planted("noise", bars=bars, seed=seed).candles
    return replace(found, symbol=name or f"M{seed}")


def without(candles: Candles, *rows: int) -> Candles:
    keep = np.setdiff1d(np.arange(len(candles)), rows)
    columns = {n: getattr(candles, n)[keep] for n in ("open_time", "open", "high", "low", "close", "volume")}
    return replace(candles, turnover=None, **columns)


def alone(candles: Candles) -> Dataset:
    return build_dataset(candles, build_table(candles, indicators=list(NAMES), transforms=("raw",)), TARGET)


def together(*candles: Candles, portfolio: Portfolio | None = None) -> Panel:
    tables = [build_table(c, indicators=list(NAMES), transforms=("raw",)) for c in candles]
    return build_panel(candles, tables, TARGET, portfolio=portfolio)[0]


@pytest.fixture(scope="module")
def one() -> Dataset:
    return alone(market(1))


@pytest.fixture(scope="module")
def pair() -> Panel:
    return together(market(1), market(2))


def architecture() -> Architecture:
    return SPACE.sample(np.random.default_rng(0))


def arrays(data: Dataset) -> dict[str, np.ndarray]:
    return {n: getattr(data, n) for n in ("x_TF", "y_T", "ready_T", "gap_T", "volatility_T", "bar_return_T")}


def test_a_panel_of_one_market_trains_and_scores_to_the_very_bits_of_the_market(one: Dataset) -> None:
    panel, a = together(market(1)), architecture()
    for name, array in arrays(one).items():
        np.testing.assert_array_equal(getattr(panel.markets[0], name), array)
    fits = [fit(Network(SPACE, data.layout), a, data, TRAIN, training=TRAINING, seed=3) for data in (one, panel)]
    assert fits[0].history == fits[1].history
    for key, weight in fits[0].network.state_dict().items():
        assert torch.equal(weight, fits[1].network.state_dict()[key])
    np.testing.assert_array_equal(fits[1].signals(panel, VALID), fits[0].signals(one, VALID)[None])
    rule = Rule(kind="volatility_target")
    scores = [
        Evaluator(data=data, train=TRAIN, valid=VALID, rule=rule, costs=Costs()).score_fitted(fitted, a)
        for data, fitted in zip((one, panel), fits, strict=True)
    ]
    assert scores[0] == scores[1]
    assert len(scores[0]) > 8


def test_a_market_is_the_same_in_a_panel_as_alone(one: Dataset, pair: Panel) -> None:
    for name, array in arrays(one).items():
        np.testing.assert_array_equal(getattr(pair.markets[0], name), array)


def test_a_batch_holds_the_same_rows_of_every_market_the_market_fastest(pair: Panel) -> None:
    objective = Objective.fitted(pair, TRAIN)
    segments = Segments(pair, TRAIN, reach=9, length=16, objective=objective)
    first, covered = segments.cut(np.random.default_rng(0))
    batch = segments.batch(first[:3], covered[:3])
    assert batch.x_BTF.shape == (6, 8 + 16, len(NAMES))
    labels_AT, learnable_AT = objective.labels(pair), pair.learnable(9)
    for b in range(3):
        rows = slice(int(first[b]), int(first[b]) + 16)
        for a in range(2):
            row = 2 * b + a
            np.testing.assert_array_equal(batch.x_BTF[row, 8:], pair.x_ATF[a, rows])
            own = learnable_AT[a, rows] & (np.arange(16) >= covered[b])
            np.testing.assert_array_equal(batch.weight_BS[row], own)
            np.testing.assert_allclose(batch.y_BS[row][own], labels_AT[a, rows][own], rtol=1e-6)


def test_each_learnable_row_of_each_market_is_a_target_once_an_epoch() -> None:
    panel = together(market(1), without(market(2), *range(200, 230)))
    segments = Segments(panel, TRAIN, reach=9, length=16, objective=Objective.fitted(panel, TRAIN))
    weight = sum(float(b.weight_BS.sum()) for b in segments.epoch(np.random.default_rng(1), targets=64))
    learnable = panel.learnable(9)[:, TRAIN.slice]
    assert weight == segments.num_targets == learnable.sum()
    assert learnable[1].sum() < learnable[0].sum()


def test_one_pass_over_a_panel_is_a_pass_over_each_market(pair: Panel) -> None:
    network = Network(SPACE, pair.layout, seed=1).eval()
    single = Network(SPACE, pair.markets[0].layout, seed=1).eval()
    path = hard(SPACE, architecture())
    x = torch.from_numpy(pair.x_ATF)
    got = stream(network, x, path, VALID, reach=network.reach(), chunk=50)
    for a in range(2):
        alone_T = stream(single, x[a], path, VALID, reach=network.reach(), chunk=50)
        np.testing.assert_allclose(got[a], alone_T, rtol=1e-5, atol=1e-7)


def test_a_missing_candle_touches_only_rows_that_may_read_it_or_earn_over_it() -> None:
    whole, row, reach = together(market(1), market(2)), 300, 9
    holed = together(market(1), without(market(2), row))
    np.testing.assert_array_equal(holed.usable(reach)[0], whole.usable(reach)[0])
    for name, array in arrays(whole.markets[0]).items():
        np.testing.assert_array_equal(getattr(holed.markets[0], name), array)
    changed = np.flatnonzero(holed.usable(reach)[1] != whole.usable(reach)[1])
    assert changed.min() >= row - 2  # a label or return whose bar is missing
    assert row in changed
    assert not holed.present_AT[1, row]
    assert not holed.markets[1].ready_T[row]
    assert holed.markets[1].gap_T[row]
    assert holed.present_AT.sum() == 2 * 600 - 1
    np.testing.assert_array_equal(holed.x_ATF[1, :row], whole.x_ATF[1, :row])
    assert not holed.x_ATF[1, row].any()


def test_candles_after_a_row_of_any_market_change_nothing_up_to_it() -> None:
    """Prefix replay: a panel of the candles known at a row is the panel of all candles, cut there."""
    full = [market(1), without(market(2), 100, 101, 350), market(3)[50:]]
    for portfolio in (Portfolio(), Portfolio(weights="inverse_volatility", rebalance=5)):
        panel = together(*full, portfolio=portfolio)
        for stop in (330, 360, 441):
            at = int(full[0].open_time[stop - 1])
            known = together(*(c[: int((c.open_time <= at).sum())] for c in full), portfolio=portfolio)
            assert len(known) == stop
            np.testing.assert_array_equal(known.x_ATF, panel.x_ATF[:, :stop])
            np.testing.assert_array_equal(known.weight_AT, panel.weight_AT[:, :stop])
            np.testing.assert_array_equal(known.present_AT, panel.present_AT[:, :stop])
            for mine, whole in zip(known.markets, panel.markets, strict=True):
                for name in ("ready_T", "gap_T", "volatility_T", "past_return_T"):
                    np.testing.assert_array_equal(getattr(mine, name), getattr(whole, name)[:stop])


def test_features_after_a_row_of_any_market_change_no_signal_up_to_it(pair: Panel) -> None:
    """Of a network whose ops mix the markets, streamed in cuts that do not fall on that row."""
    space = Chain(
        depths=(2,), ops=("leader", "cross_attention"), widths=(4,), lookbacks=(5,), norms=("layer",), dropouts=(0.0,),
        transforms=("raw",),
    ).space(dict.fromkeys(NAMES, "returns"))  # fmt: skip
    network = Network(space, pair.layout, seed=2).eval()
    path, reach, cut = hard(space, space.sample(np.random.default_rng(4))), network.reach(), 450
    with torch.no_grad():  # a leader says nothing before it has learnt
        for name, weight in network.named_parameters():
            if name.endswith(("up", "down")):
                weight.copy_(torch.linspace(0.1, 1.0, weight.numel()).view_as(weight))
    want = stream(network, torch.from_numpy(pair.x_ATF), path, VALID, reach=reach, chunk=64)
    for market_ in range(2):
        other = pair.x_ATF.copy()
        other[market_, cut:] = np.random.default_rng(5).standard_normal(other[market_, cut:].shape)
        got = stream(network, torch.from_numpy(other), path, VALID, reach=reach, chunk=64)
        np.testing.assert_array_equal(got[:, : cut - VALID.start], want[:, : cut - VALID.start])
        assert all((got[a, cut - VALID.start :] != want[a, cut - VALID.start :]).any() for a in range(2))


def test_inverse_volatility_follows_volatility_among_those_that_are_ready() -> None:
    panel = together(market(1), market(2)[200:], portfolio=Portfolio(weights="inverse_volatility", rebalance=10))
    for row in (215, 305, 445, 599):
        at = row // 10 * 10
        calm = np.array([1.0 / m.volatility_T[at] if m.ready_T[at] else 0.0 for m in panel.markets])
        np.testing.assert_allclose(panel.weight_AT[:, row], calm / calm.sum(), rtol=1e-12)
    assert panel.weight_AT[:, 215].tolist() == [1.0, 0.0]
    assert (panel.weight_AT[:, 599] > 0).all()


def test_a_panel_is_stored_and_cut_as_it_is(pair: Panel, tmp_path: object) -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "panel.safetensors"
    save_dataset(part(pair, slice(500)), file)
    back = load_dataset(file)
    assert isinstance(back, Panel)
    assert back.symbols == pair.symbols
    assert len(back) == 500
    np.testing.assert_array_equal(back.x_ATF, pair.x_ATF[:, :500])
    np.testing.assert_array_equal(back.weight_AT, pair.weight_AT[:, :500])
    for mine, whole in zip(back.markets, pair.markets, strict=True):
        np.testing.assert_array_equal(mine.realised_T, whole.realised_T[:500])
        assert mine.names == whole.names


def test_features_of_a_stored_panel_are_the_files_own_pages(pair: Panel, tmp_path: Path) -> None:
    """Nobody copies them together: not who loads the panel, nor who gives its markets other labels, nor a batch."""
    save_dataset(pair, tmp_path / "panel.safetensors")
    back = load_dataset(tmp_path / "panel.safetensors")
    assert isinstance(back, Panel)
    base: object = back.x_ATF
    while getattr(base, "base", None) is not None:
        base = base.base  # type: ignore[attr-defined]
    assert isinstance(base, mmap)
    other = taught(back, [Span(0, 100)])
    assert isinstance(other, Panel)
    for mine in (other.x_ATF, tensor_of(back.x_ATF).numpy()):
        assert (mine.ctypes.data, mine.shape) == (back.x_ATF.ctypes.data, pair.x_ATF.shape)
    shuffled = Panel(
        symbols=("b", "a"), markets=back.markets[::-1], present_AT=back.present_AT, weight_AT=back.weight_AT
    )
    np.testing.assert_array_equal(shuffled.x_ATF, pair.x_ATF[::-1])  # not behind each other: these are copied
    some = part(back, slice(10, 20))
    assert isinstance(some, Panel)
    np.testing.assert_array_equal(some.x_ATF, pair.x_ATF[:, 10:20])


def test_a_panel_of_an_older_file_is_read(pair: Panel, tmp_path: Path) -> None:
    """In which the features of each market stand by themselves."""
    save_dataset(pair, tmp_path / "new.safetensors")
    tensors = load_file(tmp_path / "new.safetensors")
    with safe_open(str(tmp_path / "new.safetensors"), framework="numpy") as file:
        metadata = file.metadata()
    tensors |= {f"{row}/x_TF": x_TF for row, x_TF in enumerate(tensors.pop("x_ATF"))}
    save_file(tensors, tmp_path / "old.safetensors", metadata=metadata)
    old, new = load_dataset(tmp_path / "old.safetensors"), load_dataset(tmp_path / "new.safetensors")
    assert isinstance(old, Panel)
    assert isinstance(new, Panel)
    np.testing.assert_array_equal(old.x_ATF, new.x_ATF)
    assert old.symbols == new.symbols


def test_a_part_of_a_panel_has_its_own_rows_of_everything() -> None:
    whole = together(market(1), market(2)[40:], portfolio=Portfolio(weights="inverse_volatility", rebalance=3))
    some = part(whole, slice(300, 420))
    assert isinstance(some, Panel)
    np.testing.assert_array_equal(some.weight_AT, whole.weight_AT[:, 300:420])
    np.testing.assert_array_equal(some.present_AT, whole.present_AT[:, 300:420])
    np.testing.assert_array_equal(some.learnable(1), whole.learnable(1)[:, 300:420])


def test_shares_of_a_batch_hold_whole_segments() -> None:
    """Five segments of three markets in two shares: a market is never cut off from the others at its time."""
    assert [list(range(15))[_share(15, (i, 2), 3)] for i in range(2)] == [list(range(6)), list(range(6, 15))]
    assert list(range(15))[_share(15, None, 3)] == list(range(15))


def test_stacked_jobs_on_a_panel_are_what_fit_makes_of_each(pair: Panel) -> None:
    template, a = Network(SPACE, pair.layout), architecture()
    training = replace(TRAINING, epochs=1)
    stacked = fit_stacked(template, a, [Job(data=pair, train=TRAIN, seed=s) for s in (1, 2)], training=training)
    for seed, found in zip((1, 2), stacked, strict=True):
        want = fit(template, a, pair, TRAIN, training=training, seed=seed)
        np.testing.assert_allclose(found.signals(pair, VALID), want.signals(pair, VALID), rtol=1e-3, atol=1e-6)


def test_markets_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="different names"):
        together(market(1, name="A"), market(2, name="A"))
    slow = replace(planted("noise", bars=200, interval_ms=4 * 3_600_000).candles, symbol="SLOW")
    with pytest.raises(ConfigError, match="interval_ms of SLOW"):
        together(market(1), slow)
    with pytest.raises(ConfigError, match="1 or more rows"):
        Portfolio(rebalance=0)
