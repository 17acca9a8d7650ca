"""What no tracked file may be or hold: large, a machine's path, a package registry's address, an unfinished thought."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 300_000
#: The rules would find themselves, so their words are put together here.
RULES = {
    "a path of one machine": re.compile(
        r"(?<![\w.\-/~])/(?:" + "|".join(("work", "root", "tmp", "home", "opt")) + r")/\w"
    ),
    "the address of a package registry": re.compile(
        r"https?://[^\s\"')]*(?:py" + r"pi\.|py" + r"thonhosted|/sim" + r"ple\b|/wh" + r"l/)"
    ),
    "an unfinished thought": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK|WI" + r"P)\b"),
}
BINARY = {".png", ".parquet"}


def tracked(root: Path) -> list[Path]:
    """Files that git knows, and new ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [root / name for name in sorted(set(listed.split("\0"))) if name and (root / name).is_file()]


def faults_of(name: str, content: bytes) -> Iterator[str]:
    """What is wrong with one file."""
    if len(content) > LARGEST:
        yield f"{name}: {len(content):,} bytes, at most {LARGEST:,}"
    if Path(name).suffix in BINARY:
        return
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
        for what, rule in RULES.items():
            if found := rule.search(line):
                yield f"{name}:{number}: {what}: {found.group()}"


def main(files: Sequence[Path]) -> int:
    """Prints every fault; 1 where there is one."""
    faults = [fault for file in files for fault in faults_of(str(file.relative_to(ROOT)), file.read_bytes())]
    print("\n".join(faults) or f"{len(files)} files")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(tracked(ROOT)))
