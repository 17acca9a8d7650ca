"""Conformance checks that every operation must pass; a third party's op can run them too.

    from tradenas.testing import check_op
    def test_mine(): check_op(MyOp)

Each check raises AssertionError with the op's name and the figure that is off.
"""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from tradenas.errors import SpaceError
from tradenas.nn.ops import CrossAsset, Op

__all__ = [
    "check_assets", "check_causal", "check_count", "check_gradient", "check_linear", "check_op", "check_reach",
    "check_shape", "check_stacked", "check_width",
]  # fmt: skip

C_IN, C_OUT, ROWS = 6, 8, 60
WIDTHS = (1, 3, 8)
#: Of an op that mixes assets; any other has one.
ASSETS = 3


def _assets(kind: type[Op]) -> int:
    return ASSETS if issubclass(kind, CrossAsset) else 1


def _made(kind: type[Op], c_in: int, c_out: int) -> Op:
    return kind(c_in, c_out, ASSETS) if issubclass(kind, CrossAsset) else kind(c_in, c_out)


def _built(kind: type[Op], dtype: torch.dtype = torch.float64, seed: int = 3) -> Op:
    op = _made(kind, C_IN, C_OUT).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in op.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=dtype) * 0.3)
    return op


def _rows(kind: type[Op], c_in: int = C_IN, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Two segments, of every asset where the op mixes them."""
    return torch.randn(2 * _assets(kind), ROWS, c_in, generator=torch.Generator().manual_seed(5), dtype=dtype)


def check_shape(kind: type[Op]) -> None:
    """(B, T, c) in gives (B, T, width) out, at every smaller input and width."""
    op = _built(kind)
    for c_in in (1, 4, C_IN):
        for width in WIDTHS:
            x = _rows(kind, c_in)
            got = tuple(op(x, width).shape)
            assert got == (len(x), ROWS, width), f"{kind.__name__}: {got} at c_in {c_in}, width {width}"


def check_causal(kind: type[Op]) -> None:
    """Rows up to t are bit for bit the same whatever comes after t."""
    op, x = _built(kind), _rows(kind)
    before = op(x, C_OUT)
    for cut in range(1, ROWS, 5):
        changed = x.clone()
        changed[:, cut:] = torch.randn(len(x), ROWS - cut, C_IN, generator=torch.Generator().manual_seed(cut)) * 10.0
        assert torch.equal(op(changed, C_OUT)[:, :cut], before[:, :cut]), f"{kind.__name__} sees past row {cut}"


def check_reach(kind: type[Op]) -> None:
    """Row t depends on row t - reach, and on nothing before it."""
    op, x = _built(kind), _rows(kind)
    last = op(x, C_OUT)[:, -1]
    if op.silent:
        assert not bool(last.any()), f"{kind.__name__} says it is silent and is not"
        assert op.reach == 0, f"{kind.__name__} is silent and reads {op.reach} rows"
        return
    beyond, edge = x.clone(), x.clone()
    beyond[:, : ROWS - 1 - op.reach] += 1.0
    edge[:, ROWS - 1 - op.reach] += 1.0
    assert torch.equal(op(beyond, C_OUT)[:, -1], last), f"{kind.__name__} reads further back than {op.reach} rows"
    assert not torch.equal(op(edge, C_OUT)[:, -1], last), f"{kind.__name__} does not reach {op.reach} rows back"


def check_width(kind: type[Op]) -> None:
    """A mask of ones up to w gives what the slice of width w gives, and zeros beyond it."""
    op, x = _built(kind), _rows(kind)
    for width in WIDTHS:
        mask = (torch.arange(C_OUT) < width).to(x.dtype)
        sliced, masked = op(x, width), op(x, mask)
        torch.testing.assert_close(masked[..., :width], sliced, rtol=1e-12, atol=1e-12)
        assert bool((masked[..., width:] == 0).all()), f"{kind.__name__}: a closed channel is not zero at width {width}"


def check_gradient(kind: type[Op]) -> None:
    """Gradients agree with finite differences, through int widths and through masks."""
    op = _built(kind)
    if op.silent:  # no output hangs on an input
        assert not list(op.parameters()), f"{kind.__name__}: a weight that no gradient reaches"
        return
    x = _rows(kind)[: _assets(kind), :20].clone().requires_grad_()
    for width in (3, (torch.arange(C_OUT) < 3).to(torch.float64) * 0.5):
        assert torch.autograd.gradcheck(lambda inputs, w=width: op(inputs, w), (x,), fast_mode=True)
    parameters = list(op.parameters())
    if parameters:
        gradients = torch.autograd.grad(op(x, 3).square().sum(), parameters)
        assert all(bool(g.abs().sum() > 0) for g in gradients), f"{kind.__name__}: a weight that no gradient reaches"


def check_linear(kind: type[Op]) -> None:
    """What an op says it is as a convolution is what it does; one that says nothing runs by itself in any mixture."""
    op, carrying = _built(kind), _built(kind).carrying_taps()
    assert not (op.lags and carrying is not None), f"{kind.__name__}: both weights at lags and taps"
    for channels in (3, C_IN) if op.lags or carrying is not None else ():
        x_BTC, bias = _rows(kind, channels), None
        if carrying is not None:
            lags = tuple(range(len(carrying)))
            kernel_OIL = torch.eye(channels, dtype=x_BTC.dtype)[:, :, None] * carrying.to(x_BTC.dtype)
        else:
            lags = op.lags
            kernel_OIL, bias = op.as_kernel(dict(op.named_parameters()), channels)
        assert len(lags) == kernel_OIL.shape[-1], f"{kind.__name__}: {len(lags)} lags, {kernel_OIL.shape[-1]} weights"
        want = torch.zeros_like(x_BTC) if bias is None else bias.expand_as(x_BTC).clone()
        for k, lag in enumerate(lags):
            want[:, lag:] += x_BTC[:, : ROWS - lag] @ kernel_OIL[..., k].T
        torch.testing.assert_close(op(x_BTC, channels), want, rtol=1e-6, atol=1e-6)  # taps are kept in float32


def check_count(kind: type[Op]) -> None:
    """Parameters of the standalone op and multiply-accumulates per row of an asset are what the profiler counts."""
    for c_in, width in ((C_IN, C_OUT), (4, 3)):
        op = _made(kind, c_in, width).to("meta")
        count = op.count(c_in, width)
        parameters = sum(p.numel() for p in op.parameters())
        assert count.parameters == parameters, f"{kind.__name__}: {count.parameters} parameters, has {parameters}"
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            op(torch.empty(_assets(kind), ROWS, c_in, device="meta"), width)
        macs = counter.get_total_flops() / 2 / ROWS / _assets(kind)
        assert count.macs - macs <= op.products * width, (
            f"{kind.__name__}: {count.macs} macs a row, the profiler says {macs}"
        )
        assert count.macs >= macs, f"{kind.__name__}: {count.macs} macs a row, the profiler says {macs}"


def check_stacked(kind: type[Op]) -> None:
    """With the weights of two ops in front it says what each of them says, where it calls itself stackable."""
    if not kind.stackable:
        return
    ops, x = [_built(kind, seed=seed) for seed in (3, 4)], _rows(kind)
    own = [torch.stack([p.detach() for p in each]) for each in zip(*(op.parameters() for op in ops), strict=True)]
    both = _built(kind)
    for (name, _), weights in zip(ops[0].named_parameters(), own, strict=True):
        home, _, last = name.rpartition(".")
        setattr(both.get_submodule(home), last, torch.nn.Parameter(weights))
    inputs = torch.stack([x, x.flip(1)])
    for width in (3, C_OUT, (torch.arange(C_OUT) < 3).to(x.dtype)):
        each = torch.stack([op(part, width) for op, part in zip(ops, inputs, strict=True)])
        torch.testing.assert_close(both(inputs, width), each, rtol=1e-10, atol=1e-10)


def check_assets(kind: type[Op]) -> None:
    """Segments never mix; assets do in an op that mixes them, which refuses one, and is symmetric if it says so."""
    op, x = _built(kind), _rows(kind)
    before, half = op(x, C_OUT), len(x) // 2
    changed = x.clone()
    changed[half:] += 1.0
    torch.testing.assert_close(op(changed, C_OUT)[:half], before[:half], rtol=1e-12, atol=1e-12)
    if not isinstance(op, CrossAsset):
        return
    for asset in range(ASSETS):
        changed = x.clone()
        changed[asset] += 1.0
        moved = (op(changed, C_OUT) - before)[:ASSETS].abs().amax((1, 2)) > 0
        assert bool(moved[torch.arange(ASSETS) != asset].all()), f"{kind.__name__}: others do not hear asset {asset}"
    try:
        type(op)(C_IN, C_OUT, 1)
    except SpaceError:
        pass
    else:
        raise AssertionError(f"{kind.__name__} takes a single asset")
    order = torch.tensor([2, 0, 1])
    both = torch.cat([order, ASSETS + order])
    alike = torch.allclose(op(x[both], C_OUT), before[both], rtol=1e-10, atol=1e-10)
    assert alike == op.symmetric, f"{kind.__name__}: symmetric is {op.symmetric}, assets in another order say {alike}"


def check_op(kind: type[Op]) -> None:
    """All of the above."""
    for check in (
        check_shape, check_causal, check_reach, check_width, check_gradient, check_linear, check_count, check_stacked,
        check_assets,
    ):  # fmt: skip
        check(kind)
