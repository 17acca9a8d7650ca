"""The command line.  Nothing heavy is imported before a command needs it: `tradenas --help` answers at once."""

from tradenas.cli.app import main

__all__ = ["main"]
