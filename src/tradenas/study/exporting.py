"""A trained strategy leaves its run: written in formats, proved against the networks that were traded, with a card.

Three links hold an export to the backtest.  The networks, run on windows, say what the run stored as its signals; the
file, run on windows or row by row, says what the networks say; and the card names both comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tradenas.atomic import sha256_file
from tradenas.errors import ConfigError
from tradenas.formats.base import Options, Written, find_format
from tradenas.formats.card import CARD, PAGE, write_card
from tradenas.formats.ensemble import mean_of
from tradenas.formats.parity import Proof, Subject, allowance, demand, difference, spread, windows_of
from tradenas.formats.simplify import simplify
from tradenas.nn.mode import Mode
from tradenas.study.origin import origin_of
from tradenas.study.trained import TrainedStrategy
from tradenas.train.dataset import Dataset
from tradenas.train.fit import Fitted
from tradenas.train.panel import Panel
from tradenas.trials.ledger import Ledger
from tradenas.typing import Float32Array, FloatArray

__all__ = ["Exported", "export", "prove_traded", "subject_of"]

#: What is left of a signal that was multiplied by its unit and divided by it again.
DOUBLE = 1e-12

#: Windows that go through torch at once; rows of each market at most that are compared with what was traded.
CHUNK, MOST = 512, 20_000


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export left.

    Attributes:
        folder: of it.
        files: all of them, the cards last.
        proofs: that it is what was traded, all passed.
        caution: what the run's verdict means for who wants to trade it.
    """

    folder: Path
    files: tuple[Path, ...]
    proofs: tuple[Proof, ...]
    caution: str


def export(
    run: Path | str,
    formats: Sequence[str] = ("onnx",),
    *,
    strategy: str = "",
    seed_index: int | None = None,
    options: Options | None = None,
    out: Path | str | None = None,
    describe: Callable[[Mapping[str, object]], str] | None = None,
) -> Exported:
    """Writes a strategy of a run folder in some formats, with proofs and a card.

    Args:
        run: folder.
        formats: names in `tradenas.formats.base.FORMATS`.
        strategy: name or architecture digest; the champion where empty.
        seed_index: of one training that is to leave alone; all of them, speaking as their mean, where None: that is
            what was traded.
        options: what is asked of the formats.
        out: folder to write to; `RUN/export/STRATEGY` where None.
        describe: an architecture in a line, for the card; its choices where None.

    Raises:
        FolderError: no such run or strategy.
        ConfigError: no such format or seed.
        UnsupportedOp: the network has an op that a format cannot express.
        ParityError: a file does not say what the network says; it is left for inspection, without a card.

    An 8-bit file that was scored on the selection zone is a trial of the stage `export`.
    """
    options = options or Options()
    writers = {name: find_format(name) for name in formats}
    trained = TrainedStrategy.load(run, strategy)
    chosen = _seeds(trained, seed_index)
    subject = subject_of(trained, chosen)
    folder = Path(out) if out is not None else trained.folder.path / "export" / trained.row["name"].replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    for old in (CARD, PAGE):  # what is written now is not what an earlier card speaks of
        (folder / old).unlink(missing_ok=True)
    proofs = [prove_traded(trained, subject, chosen)]
    demand(proofs)
    written: dict[str, Written] = {}
    for name, write in writers.items():
        others = "onnx" in writers and name != "onnx"  # 8 bits are written by ONNX; alone, another format refuses them
        written[name] = write(subject, replace(options, int8=options.int8 and not others), folder)
        demand(written[name].proofs)
        proofs += written[name].proofs
    _count_looks(trained, chosen, written)
    origin = origin_of(trained, chosen, subject.program, words=describe(trained.architecture) if describe else "")
    cards = write_card(folder, origin, subject.program, options, written, proofs=proofs[:1])
    files = tuple(file for one in written.values() for file in one.files)
    return Exported(folder=folder, files=(*files, *cards), proofs=tuple(proofs), caution=origin.caution)


def _count_looks(trained: TrainedStrategy, chosen: Sequence[int], written: Mapping[str, Written]) -> None:
    """An 8-bit file is another network than the one that was traded: its IC on the selection zone is one more trial."""
    for one in written.values():
        told = one.facts.get("int8")
        if told is None or "ic_int8" not in told:
            continue
        file = next(f for f in one.files if ".int8." in f.name)
        digest, seeds = str(trained.row["digest"]), ",".join(map(str, chosen))
        with Ledger(trained.folder.ledger) as ledger:
            ledger.record(
                "export", f"{digest}/{seeds}/{sha256_file(file)[:12]}", digest=digest, params={"bits": 8},
                scores={"ic": round(told["ic_int8"], 4)},
            )  # fmt: skip


def subject_of(trained: TrainedStrategy, chosen: Sequence[int]) -> Subject:
    """The strategy as formats take it: of a panel, real rows are those of the market that has most of them."""
    programs = tuple(trained.programs[k] for k in chosen)
    program = programs[0] if len(programs) == 1 else simplify(mean_of(programs))  # what all do alike is done once
    fitted = [trained.fitted[k] for k in chosen]
    zone, search, reach = trained.zones.selection, trained.rows, program.reach
    data = trained.data
    market = max(_markets(trained), key=lambda m: int(m.usable(reach)[zone.slice].sum()))
    columns = list(program.columns)
    rows = slice(max(0, zone.start - reach + 1), zone.stop)
    labels_T = fitted[0].objective.labels(market)
    usable_T = market.usable(reach)

    def said(windows_NRC: Float32Array) -> FloatArray:
        assets = data.assets if isinstance(data, Panel) else 1
        outputs = [_outputs(one, windows_NRC, columns, market.x_TF.shape[1], assets) for one in fitted]
        mean_N: FloatArray = np.mean(outputs, axis=0)
        return mean_N

    return Subject(
        program=program,
        programs=programs,
        network=said,
        rows_TF=np.ascontiguousarray(market.x_TF[rows][:, columns]),
        calibration_TF=np.ascontiguousarray(market.x_TF[search.slice][:, columns]),
        labels_T=np.where(usable_T, labels_T, np.nan)[rows],
    )


def prove_traded(trained: TrainedStrategy, subject: Subject, chosen: Sequence[int]) -> Proof:
    """The networks, window by window, against the signals with which the strategy was traded on the selection zone."""
    zone, reach = trained.zones.selection, trained.fitted[0].reach
    stored = [
        np.load(trained.folder.path / "retrain" / "jobs" / trained.row["jobs"][k] / "selection.npy", allow_pickle=False)
        for k in chosen
    ]
    objective = trained.fitted[chosen[0]].objective
    traded_AT = np.atleast_2d(np.mean([objective.output(s, trained.data, zone) for s in stored], axis=0))
    said, want = [], []
    for market, traded_T in zip(_markets(trained), traded_AT, strict=True):
        at = zone.start + np.flatnonzero(market.usable(reach)[zone.slice])
        at = at[at >= subject.program.reach - 1]
        at = at[spread(len(at), MOST)]
        windows = windows_of(market.x_TF[:, list(subject.program.columns)], subject.program.reach)
        said.append(subject.network(windows[at - subject.program.reach + 1]))
        want.append(traded_T[at - zone.start])
    within = max(allowance(subject.program)[0], DOUBLE)
    got_N, want_N = np.concatenate(said), np.concatenate(want)
    return Proof(
        what="networks on windows", against="the signals that were traded on the selection zone", compared=len(want_N),
        real=len(want_N), spoiled=0, spoke=0, **difference(got_N, want_N, subject.program, tolerance=within),
    )  # fmt: skip


def _seeds(trained: TrainedStrategy, index: int | None) -> tuple[int, ...]:
    count = len(trained.fitted)
    if index is None:
        return tuple(range(count))
    if not 0 <= index < count:
        raise ConfigError("seed index", got=index, expected=f"0 to {count - 1}: {trained.row['name']} has {count}")
    return (index,)


def _markets(trained: TrainedStrategy) -> tuple[Dataset, ...]:
    return trained.data.markets if isinstance(trained.data, Panel) else (trained.data,)


def _outputs(fitted: Fitted, windows_NRC: Float32Array, columns: list[int], width: int, assets: int) -> FloatArray:
    """What one network says of windows of the program's columns; it does not read the others, which are zeros here."""
    import torch

    mode = Mode(moments=fitted.moments or None)
    said = []
    with torch.inference_mode():
        for start in range(0, len(windows_NRC), CHUNK):
            some = windows_NRC[start : start + CHUNK]
            x_NRF = np.zeros((-(-len(some) // assets) * assets, some.shape[1], width), dtype=np.float32)
            x_NRF[: len(some), :, columns] = some
            said.append(fitted.network(torch.from_numpy(x_NRF), {}, mode)[: len(some), -1].double().numpy())
    return np.concatenate(said) if said else np.zeros(0)
