"""`python -m gavel.simulate` is `gavel simulate`."""

from gavel.cli.simulate import simulate

simulate()
