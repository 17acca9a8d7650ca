"""What the paths of a supernet know: their signals against the planted conditional mean on fresh bars.

    python benchmarks/shared_truth.py distant

Prints, over 80 random architectures, the mean correlation of a path's signal with the truth, that of the best five,
that of the five with the best validation IC, and how well validation IC orders the paths by it.  No retraining and no
noise of returns is in it, so it says within seconds whether a change of the supernet helps or harms.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from worlds import SPACE, arena

from tradenas.nn import hard
from tradenas.search.base import Scorer, Task
from tradenas.search.methods import SPOS
from tradenas.search.parts.evolution import sample_distinct
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import Evaluator
from tradenas.train.stream import stream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--architectures", type=int, default=80)
    options = parser.parse_args()
    torch.set_num_threads(1)
    a, space = arena(options.world, options.seed, fresh=30_000), SPACE.space()
    evaluator = Evaluator(data=a.data, train=a.fold.train, valid=a.fold.valid, rule=Rule(), costs=Costs())
    scorer = Scorer(evaluator=evaluator, metric="ic", on_trial=lambda *_: None)
    task = Task(space=space, data=a.data, train=a.fold.train, scorer=scorer, seed=options.seed)
    method = SPOS()
    state = method.init(task)
    for epoch in range(method.training.epochs):
        method.train(task, state, epoch)
    drawn = sample_distinct(space, options.architectures, seed=0, stream="shared truth")
    ic_N = np.array([s.get("ic", 0.0) for s in evaluator.score_paths(state.network, drawn)])
    x_TF, truths = torch.from_numpy(a.data.x_TF), []
    for architecture in drawn:
        reach = state.network.reach(architecture)
        output_T = stream(state.network, x_TF, hard(space, architecture), a.fresh, reach=reach)
        truths.append(a.truth(evaluator.objective.signal(output_T.astype(float), a.data, a.fresh), a.fresh, reach))
    truth_N = np.nan_to_num(np.array(truths))
    best, chosen = np.sort(truth_N)[-5:].mean(), truth_N[np.argsort(-ic_N)[:5]].mean()
    print(
        f"{options.world} seed {options.seed}: truth of a path {truth_N.mean():.2f}, of the best five {best:.2f}, of "
        f"the five chosen by IC {chosen:.2f}; correlation of IC with truth {np.corrcoef(ic_N, truth_N)[0, 1]:.2f}"
    )


if __name__ == "__main__":
    main()
