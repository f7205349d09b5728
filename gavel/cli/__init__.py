"""The command line: one file per group of commands, loaded when it is asked for."""

from __future__ import annotations

import importlib
import logging
import sys

import rich_click as click

from domain.errors import InvalidInput, Refusal, Unavailable
from gavel.errors import CannotRun

COMMANDS = {
    "demo": "gavel.cli.demo:demo",
    "up": "gavel.cli.up:up",
    "api": "gavel.cli.api:api",
    "project": "gavel.cli.project:project",
    "notify": "gavel.cli.notify:notify",
    "migrate": "gavel.cli.migrate:migrate",
    "topology": "gavel.cli.topology:topology",
    "doctor": "gavel.cli.doctor:doctor",
    "bidders": "gavel.cli.bidders:bidders",
    "auctions": "gavel.cli.auctions:auctions",
    "projections": "gavel.cli.projections:projections",
    "dead-letters": "gavel.cli.dead_letters:dead_letters",
    "ledger": "gavel.cli.ledger:ledger",
    "keys": "gavel.cli.keys:keys",
    "feeds": "gavel.cli.feeds:feeds",
    "privacy": "gavel.cli.privacy:privacy",
    "tokens": "gavel.cli.tokens:tokens",
    "simulate": "gavel.cli.simulate:simulate",
}
"""In the order that a newcomer needs them."""


class LazyGroup(click.RichGroup):
    """Imports a command's file when the command is used: most of them need a fraction of what all need."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gavel-exchange", prog_name="gavel")
def cli() -> None:
    """A real-time ad exchange whose only source of truth is an append-only log.

    Start with `gavel demo`.
    """


def main() -> None:
    """Runs the command line. What is in the way of a command is told in one line; a defect shows its traceback."""
    # Its errors reach us as exceptions; what it logs besides repeats them for every attempt.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        cli(prog_name="gavel")
    except InvalidInput as error:
        sys.exit("\n".join(f"gavel: {fault.path}: {fault.message}" for fault in error.faults))
    except (CannotRun, Refusal, Unavailable) as error:
        sys.exit(f"gavel: {error}")
