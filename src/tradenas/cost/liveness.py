"""How much has to be held at once while a network runs: liveness over a given order of its steps.

A value lives from the step that makes it to the last step that reads it.  The peak is the largest total of what lives
during a step: what it reads, what it makes, and what waits for later steps.  For a plain chain of layers that is the
chapter's max_i (size(x_i) + size(x_{i+1})).  The order is the network's own; another may need less.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Plan"]


@dataclass
class Plan:
    """Steps in the order in which they run; a value is named by the number of the step that makes it.

    >>> plan = Plan()
    >>> x = plan.add(10)
    >>> y = plan.add(30, x)
    >>> z = plan.add(30, y, inplace=True)
    >>> plan.keep = plan.add(1, z)
    >>> plan.peak()
    40
    """

    #: What each step reads, the size of what it makes, and whether that may stand where something it reads stood.
    reads: list[tuple[int, ...]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    inplace: list[bool] = field(default_factory=list)
    #: The value that is handed out in the end.
    keep: int = 0

    def add(self, size: int, *reads: int, inplace: bool = False) -> int:
        """A step that makes a value of a size (in elements); its number.

        Args:
            size: of the new value.
            reads: earlier values.
            inplace: element by element, so that it takes the place of a value of its size that nothing reads later.
        """
        self.reads.append(reads)
        self.sizes.append(size)
        self.inplace.append(inplace)
        return len(self.sizes) - 1

    def live(self) -> list[int]:
        """During each step, the elements that are held."""
        last = {value: step for step, values in enumerate(self.reads) for value in values}
        last[self.keep] = len(self.sizes)
        held, during = 0, []
        for step, size in enumerate(self.sizes):
            dying = [value for value in dict.fromkeys(self.reads[step]) if last[value] == step]
            held += size
            taken = self.inplace[step] and any(self.sizes[value] == size for value in dying)
            during.append(held - size if taken else held)
            held -= sum(self.sizes[value] for value in dying)
            if step not in last:
                held -= size
        return during

    def peak(self) -> int:
        """The most elements held at once."""
        return max(self.live(), default=0)
