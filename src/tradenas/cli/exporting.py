"""The verb `export`: what it says when a network has left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tradenas.cli.actions import Say

__all__ = ["export"]


def export(
    say: Say,
    folder: Path,
    formats: Sequence[str],
    strategy: str,
    *,
    streaming: bool | None,
    batch: int | None,
    int8: bool,
    prove: str,
    seed_index: int | None,
    out: Path | None,
) -> int:
    """Exports, and shows the files, the proofs, and what the verdict means for who wants to trade them."""
    from tradenas.formats.base import Options
    from tradenas.report.describe import describe
    from tradenas.study.exporting import export as leave

    options = Options(
        window=streaming is not True, streaming=streaming is not False, batch=batch, int8=int8, prove=prove
    )  # fmt: skip
    left = leave(folder, formats, strategy=strategy, seed_index=seed_index, options=options, out=out, describe=describe)
    show = say.out().print
    for file in left.files:
        show(f"{file}  {file.stat().st_size:,} bytes", markup=False, highlight=False, soft_wrap=True)
    for proof in left.proofs:
        show(proof.words(), markup=False, highlight=False, soft_wrap=True)
    show(left.caution, markup=False, highlight=False, soft_wrap=True)
    say.result(
        {
            "folder": left.folder,
            "files": [{"file": file, "bytes": file.stat().st_size} for file in left.files],
            "proofs": [proof.to_json() for proof in left.proofs],
            "caution": left.caution,
        }
    )
    return 0
