"""`planted_jobs` registers job kinds: it is imported once, as the workers import it, not by the doctest search."""

from __future__ import annotations

collect_ignore = ["planted_jobs.py"]
