"""Hypergradients by the code of other packages themselves, on the closed-form problem of `bilevel.py`.

    mkdir peers && pip download --no-deps --dest peers archai==1.0.0 mmrazor==1.0.0 foreblocks==0.1.45
    (cd peers && for wheel in *.whl; do unzip -qo "$wheel"; done)
    git clone of khanrc/pt.darts into peers/pt.darts (optional)
    python benchmarks/peers.py peers

Only the class or function that computes the hypergradient is taken out of its file, and run unchanged on a network that
answers with the two losses of the problem; what it asks of its framework (its optimiser wrapper, its parser of losses)
is given here.  Nothing is installed.  What is not in the folder is left out and named.  Prints Markdown.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import inspect
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, autograd, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from search.hypergradients import Problem, cosine, error, first_order, flat
from tradenas.search.parts.bilevel import second_order


def taken(path: Path, names: tuple[str, ...], **given: Any) -> dict[str, Any]:
    """Functions and classes of a file without its imports, decorators and bases; `given` stands for those."""
    tree = ast.parse(path.read_text())
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name in names]
    for node in found:
        node.decorator_list = []
        if isinstance(node, ast.ClassDef):
            node.bases = []
    future = ast.parse("from __future__ import annotations").body
    scope: dict[str, Any] = {"torch": torch, "nn": nn, "autograd": autograd, "copy": copy, **given}
    exec(compile(ast.Module(future + found, type_ignores=[]), str(path), "exec"), scope)
    return {name: scope[name] for name in names}


class Net(nn.Module):
    """Answers with a loss of the problem; asked for "train" or "valid" in place of a batch."""

    def __init__(self, p: Problem, *, registered: bool) -> None:
        super().__init__()
        self.p = p
        self.w = nn.Parameter(p.w.clone())
        a = p.a.clone()
        self.__dict__["a"] = a.requires_grad_()
        if registered:
            del self.__dict__["a"]
            self.a = nn.Parameter(a.detach())

    def forward(self, x: str, *_: Any, **__: Any) -> Tensor:
        return (self.p.l_train if x == "train" else self.p.l_valid)(self.w, self.a)

    def __deepcopy__(self, memo: dict[int, Any]) -> Net:
        return Net(self.p, registered="a" in self._parameters)

    # what pt.darts asks for
    def loss(self, x: str, *_: Any) -> Tensor:
        return self(x)

    def weights(self) -> list[Tensor]:
        return [self.w]

    def alphas(self) -> list[Tensor]:
        return [self.a]


def sgd(net: Net) -> torch.optim.SGD:
    """The weights' optimiser with its buffer."""
    p = net.p
    optimizer = torch.optim.SGD([net.w], lr=p.lr, momentum=p.momentum, weight_decay=p.weight_decay)
    optimizer.state[net.w]["momentum_buffer"] = p.buffer.clone()
    return optimizer


def archai(folder: Path, p: Problem) -> Tensor:
    """`BilevelOptimizer._backward_bilevel`; its model's parameters hold the alphas, as `_model_params` says."""
    path = folder / "archai/supergraph/algos/darts/bilevel_optimizer.py"
    made = taken(path, ("_get_loss", "BilevelOptimizer"), zip_eq=zip)
    peer, net = made["BilevelOptimizer"].__new__(made["BilevelOptimizer"]), Net(p, registered=True)
    peer._w_momentum, peer._w_weight_decay = p.momentum, p.weight_decay
    peer._model, peer._vmodel = _Answering(net), _Answering(copy.deepcopy(net))
    peer._lossfn = lambda logits, _: logits
    peer._alphas, peer._valphas = [net.a], [peer._vmodel.net.a]
    peer._backward_bilevel("train", None, "valid", None, p.lr, sgd(net))
    return net.a.grad


class _Answering:
    """A model that answers with a tuple, as archai's do."""

    def __init__(self, net: Net) -> None:
        self.net, self.parameters = net, net.parameters

    def __call__(self, x: str) -> tuple[Tensor]:
        return (self.net(x),)


def pt_darts(folder: Path, p: Problem) -> Tensor:
    """`Architect.unrolled_backward`."""
    peer = taken(folder / "pt.darts/architect.py", ("Architect",))["Architect"]
    net = Net(p, registered=False)
    one = peer(net, p.momentum, p.weight_decay)
    more = [False] * (len(inspect.signature(one.unrolled_backward).parameters) - 6)
    one.unrolled_backward("train", None, "valid", None, p.lr, sgd(net), *more)
    return net.a.grad


def mmrazor(folder: Path, p: Problem) -> Tensor:
    """`Darts._unrolled_backward`; the optimiser wrapper's `backward` is a plain one."""
    peer = taken(folder / "mmrazor/models/algorithms/nas/darts.py", ("Darts",))["Darts"]
    net = Net(p, registered=False)
    optimizer = sgd(net)

    class Darts(peer):  # type: ignore[misc, valid-type]
        __init__ = object.__init__
        architecture, mutator = net, SimpleNamespace(parameters=lambda: [net.a])

        def data_preprocessor(self, data: str, _: bool) -> dict[str, Any]:
            return {"inputs": data, "data_samples": None}

        def parse_losses(self, loss: Tensor) -> tuple[Tensor, dict[str, Any]]:
            return loss, {}

        def __call__(self, x: str, *_: Any, **__: Any) -> Tensor:
            return net(x)

    wrapper = SimpleNamespace(backward=lambda loss: loss.backward(), param_groups=optimizer.param_groups)
    wrapper.optimizer = optimizer
    Darts()._unrolled_backward("valid", "train", {"architecture": wrapper, "mutator": wrapper})
    return net.a.grad


def foreblocks(folder: Path, p: Problem) -> Tensor:
    """The gradient of the architecture's loss and `compute_implicit_arch_gradient_correction` with xi = lr."""
    name = "compute_implicit_arch_gradient_correction"
    path = folder / "darts/training/perturbation_hessian.py"
    correct = taken(path, (name,), autocast_ctx=lambda *_, **__: contextlib.nullcontext())[name]
    net = Net(p, registered=False)
    (more,) = correct(
        model=net, loss_fn=lambda out, _: out, arch_x="valid", arch_y=None, arch_model_kwargs=None, train_x="train",
        train_y=None, train_model_kwargs=None, model_params=[net.w], arch_params=[net.a], xi=p.lr, eps=1e-2,
        device="cpu", use_amp=False,
    )  # fmt: skip
    return first_order(p) + more


def ours(_: Path, p: Problem) -> Tensor:
    """This package, exact product."""
    return flat(second_order(p.train, p.valid, p.weights, p.alphas, step=p.step, product="exact").total())


PEERS: dict[str, Callable[[Path, Problem], Tensor]] = {
    "**tradenas**": ours,
    "foreblocks 0.1.45": foreblocks,
    "archai 1.0.0": archai,
    "khanrc/pt.darts": pt_darts,
    "mmrazor 1.0.0, unroll=True": mmrazor,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="with the unpacked packages")
    parser.add_argument("--instances", type=int, default=20, help="random instances of the problem")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # deprecated calls of old code
    print("| package | relative error, median | smallest to largest | cosine, median |\n| --- | --- | --- | --- |")
    for name, compute in PEERS.items():
        errors, angles = [], []
        try:
            for seed in range(args.instances):
                truth = Problem(seed).truth().total
                got = compute(args.folder, Problem(seed)).double()
                errors.append(error(got, truth))
                angles.append(cosine(got, truth))
        except FileNotFoundError as missing:
            print(f"| {name} | not in the folder: {Path(str(missing.filename)).name} | | |")
            continue
        e, c = torch.tensor(errors), torch.tensor(angles)
        print(f"| {name} | {e.median():.2g} | {e.min():.2g} to {e.max():.2g} | {c.median():.4f} |")


if __name__ == "__main__":
    main()
