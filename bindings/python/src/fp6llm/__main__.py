"""The command line: python -m fp6llm COMMAND.

A command is a module with HELP, add_arguments(parser) and run(arguments) -> exit status, named in COMMANDS.
"""

from __future__ import annotations

import argparse
import importlib
import sys

COMMANDS = {"info": "._info", "quantize": "._quantize_command"}


def main(argv: list[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fp6llm", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = {}
    for name, module in COMMANDS.items():
        modules[name] = importlib.import_module(module, __package__)
        command = commands.add_parser(name, help=modules[name].HELP, description=modules[name].HELP)
        modules[name].add_arguments(command)
    arguments = parser.parse_args(argv)
    return modules[arguments.command].run(arguments)


if __name__ == "__main__":
    sys.exit(main())
