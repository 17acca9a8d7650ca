"""Searches on cells whose norm and activation follow the sum of a node: every differentiable method, merged or not."""

from dataclasses import replace

import pytest
import torch

from search.worlds import QUICK, market, task
from tradenas.nn import hard, native, network
from tradenas.nn.merge import Merge
from tradenas.nn.native import run_cells
from tradenas.search.base import METHODS
from tradenas.space import Cell

torch.set_num_threads(1)
CELL = Cell(follow="sum", nodes=2, ops=("zero", "skip", "dense", "conv3", "difference", "max5"), cells=(1,),
            widths=(4,), lookbacks=(5,), transforms=("raw",))  # fmt: skip
DATA = market(rows=1200)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("darts", {}), ("darts", {"order": 2, "optimizer_kind": "sgd"}), ("fairdarts", {}), ("pcdarts", {"parts": 2}),
     ("gdas", {}), ("darts_minus", {}), ("spos", {})],
)  # fmt: skip
def test_search(kind, settings, monkeypatch):
    runs, own = [], Merge.run
    monkeypatch.setattr(Merge, "run", lambda *given: runs.append("in PyTorch") or own(*given))

    def compiled(*given):
        signal = run_cells(*given)
        runs.extend([] if signal is None else ["compiled"])
        return signal

    monkeypatch.setattr(network, "run_cells", compiled)
    one = task(data=DATA, choices=CELL.space())
    made = METHODS[kind](training=replace(QUICK, epochs=2, segment=64, batch=256), num_ranked=3, **settings)
    state = made.init(one)
    before = torch.cat([p.detach().flatten() for p in state.network.parameters()])
    logs = [made.epoch(one, state, e) for e in range(made.num_epochs())]
    assert not torch.equal(torch.cat([p.detach().flatten() for p in state.network.parameters()]), before)
    assert all(log.get("skipped", 0.0) == 0.0 for log in logs)
    assert bool(runs) == (kind not in ("gdas", "spos"))
    if native.available() and kind in ("darts", "fairdarts"):
        assert "compiled" in runs
    best = max(state.scored, key=lambda c: c.scores["ic"]).architecture
    alone = state.network.inherit(one.space.fix(best))
    x_BTF = torch.from_numpy(DATA.x_TF[None, :200])
    torch.testing.assert_close(alone(x_BTF), state.network(x_BTF, hard(one.space, best)), rtol=1e-5, atol=1e-6)
