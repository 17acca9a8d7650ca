"""What a training sees: each usable row once an epoch, real history, and nothing of what comes after the span."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tradenas.errors import ConfigError
from tradenas.seeds import rng_for
from tradenas.splits import Span, holdout
from tradenas.train.dataset import reachable
from tradenas.train.loss import Objective
from tradenas.train.segments import Segments
from train.datasets import make_dataset

ROWS = 700
GAPS = (130, 131, 402)


def numbered(**changes: object):
    """A market whose first feature is the number of the row, so that a batch tells which rows it holds."""
    data = make_dataset(rows=ROWS, gaps=GAPS, warm_up=9, features=2)
    x_TF = np.zeros_like(data.x_TF)
    x_TF[:, 0] = np.arange(ROWS)
    return replace(data, x_TF=x_TF, **changes)


def segments_of(data, span, *, reach, length):
    return Segments(data, span, reach=reach, length=length, objective=Objective(kind="regression"))


def targets_of(segments, epoch, *, targets=200):
    """(row, label, weight) of every target of one epoch."""
    found = []
    for batch in segments.epoch(rng_for(1, "epoch", epoch), targets=targets):
        rows_BS = batch.x_BTF[:, segments.reach - 1 :, 0]
        found += zip(rows_BS.flatten().tolist(), batch.y_BS.flatten().tolist(), batch.weight_BS.flatten().tolist(),
                     strict=True)  # fmt: skip
    return found


CASES = [
    (Span(0, ROWS), 1, 64), (Span(0, ROWS), 30, 64), (Span(50, 500), 30, 64), (Span(51, 499), 7, 1),
    (Span(120, 150), 30, 64), (Span(300, 303), 2, 5), (Span(0, 95), 32, 64), (Span(600, ROWS), 100, 33),
]  # fmt: skip


@pytest.mark.parametrize(("span", "reach", "length"), CASES)
def test_each_usable_row_is_a_target_once_an_epoch(span, reach, length):
    data = numbered()
    segments = segments_of(data, span, reach=reach, length=length)
    want = [t for t in range(span.start, span.stop) if data.learnable(reach)[t]]
    assert segments.num_targets == len(want)
    for epoch in range(12):
        seen = [int(row) for row, _, weight in targets_of(segments, epoch) if weight]
        assert sorted(seen) == want


def test_rows_without_weight_are_the_unusable_ones_and_have_no_label():
    data = numbered()
    segments = segments_of(data, Span(40, 600), reach=20, length=64)
    found = [one for epoch in range(5) for one in targets_of(segments, epoch)]
    usable = reachable(data.gap_T, data.ready_T, 20) & np.isfinite(data.y_T)
    usable[:40] = usable[600:] = False
    heard = {int(row) for row, _, weight in found if weight == 1.0}
    assert {w for _, _, w in found} == {0.0, 1.0}
    assert heard == set(np.flatnonzero(usable))
    assert {130, 131, 132, 149, 402, 420} <= {int(t) for t, _, _ in found} - heard  # windows would span a gap
    labels = Objective(kind="regression").labels(data)
    assert all(np.isclose(label, labels[int(row)], rtol=1e-6) for row, label, weight in found if weight)
    assert all(label == 0.0 for row, label, _ in found if not usable[int(row)])


def test_history_is_what_came_before_the_targets_row_for_row():
    data = numbered()
    for span, reach, length in CASES:
        segments = segments_of(data, span, reach=reach, length=length)
        for batch in segments.epoch(rng_for(0, "history"), targets=150):
            rows_BT = batch.x_BTF[..., 0].numpy()
            assert rows_BT.shape[1] == reach - 1 + length
            assert (np.diff(rows_BT, axis=1) == 1).all()
            assert rows_BT.min() >= 0


@pytest.mark.parametrize(("span", "reach", "length"), CASES)
def test_nothing_at_or_past_the_end_of_the_span_is_touched(span, reach, length):
    """Neither label nor feature: a feature of tomorrow would reach the moments of a batch norm."""
    data = numbered()
    segments = segments_of(data, span, reach=reach, length=length)
    for epoch in range(12):
        for batch in segments.epoch(rng_for(2, epoch), targets=300):
            assert batch.x_BTF[..., 0].max() < span.stop


def test_purge_keeps_labels_from_looking_past_the_validation_rows():
    """The label of the last training row ends before the first row that is judged."""
    data = numbered()
    fold = holdout(Span(0, 600), 0.25, purge=data.purge_rows, embargo=20)
    segments = segments_of(data, fold.train, reach=20, length=64)
    last = int(np.flatnonzero(segments.usable_T)[-1])
    assert last == fold.train.stop - 1
    assert last + data.purge_rows < fold.valid.start
    later = np.arange(ROWS) >= fold.valid.start - data.purge_rows
    other = replace(data, y_T=np.where(later, 9.0, data.y_T).astype(np.float32))
    again = segments_of(other, fold.train, reach=20, length=64)
    assert targets_of(again, 0) == targets_of(segments, 0)


def test_epochs_are_cut_anew_and_the_same_stream_gives_the_same_epoch():
    segments = segments_of(numbered(), Span(0, ROWS), reach=10, length=64)
    first = [b.x_BTF[:, 9, 0].tolist() for b in segments.epoch(rng_for(0, 0), targets=128)]
    same = [b.x_BTF[:, 9, 0].tolist() for b in segments.epoch(rng_for(0, 0), targets=128)]
    other = [b.x_BTF[:, 9, 0].tolist() for b in segments.epoch(rng_for(0, 1), targets=128)]
    assert first == same
    assert {int(r) % 64 for b in first for r in b} != {int(r) % 64 for b in other for r in b}
    assert all(len(b) == 2 for b in first[:-1])


def test_steps_is_about_the_number_of_batches():
    for span, reach, length in CASES:
        segments = segments_of(numbered(), span, reach=reach, length=length)
        for targets in (length, 130, 1000):
            said = segments.steps(targets=targets)
            counts = [len(list(segments.epoch(rng_for(3, e), targets=targets))) for e in range(6)]
            assert abs(np.mean(counts) - said) <= max(2.0, 0.2 * said)


def test_the_dataset_is_not_copied_nor_changed():
    data = numbered()
    before = data.x_TF.copy()
    segments = segments_of(data, Span(0, ROWS), reach=10, length=64)
    assert segments.x_TF.data_ptr() == data.x_TF.ctypes.data
    targets_of(segments, 0)
    assert np.array_equal(data.x_TF, before)


def test_faults_are_named():
    data = numbered()
    with pytest.raises(ConfigError, match=r"training\.segment.*at most 80 rows"):
        segments_of(data, Span(0, 80), reach=50, length=64)
    with pytest.raises(ConfigError, match="no row with a label and 40 rows of history"):
        segments_of(replace(data, y_T=np.full(ROWS, np.nan, np.float32)), Span(0, 600), reach=40, length=64)
    with pytest.raises(ConfigError, match="rows 130 to 149"):
        segments_of(data, Span(130, 149), reach=40, length=64)


@pytest.mark.parametrize(("length", "targets"), [(1, 100), (16, 64)])
def test_large_batches_share_one_place_and_hold_the_same(length, targets, monkeypatch):
    kept = segments_of(numbered(), Span(0, ROWS), reach=30, length=length)
    apart = [b.x_BTF for b in kept.epoch(rng_for(4, "place"), targets=targets)]
    assert len({x_BTF.data_ptr() for x_BTF in apart}) == len(apart)
    monkeypatch.setattr("tradenas.train.segments.LARGE", 1)
    places = set()
    for x_BTF, batch in zip(apart, kept.epoch(rng_for(4, "place"), targets=targets), strict=True):
        assert torch.equal(x_BTF, batch.x_BTF)
        places.add(batch.x_BTF.data_ptr())
    assert len(places) == 1
