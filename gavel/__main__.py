"""`python -m gavel`: the command line, where no script of that name is installed."""

from gavel.cli import main

main()
