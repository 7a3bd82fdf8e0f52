"""The command line: a sub-command for each process, the operator's tools, and the client commands."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final

import uvloop

from taskflow import __version__, logs
from taskflow.errors import TaskflowError
from taskflow.local import logfiles
from taskflow.local.addresses import with_local_urls
from taskflow.local.dev_secrets import OF_PROJECTOR, OF_RELAY, OF_WORKER, with_secrets
from taskflow.settings import SECRETS, Settings, variable
from taskflow.terminal.parser import add_client_commands
from taskflow.terminal.parser_admin import add_admin, add_projections
from taskflow.terminal.parser_parts import EXIT_CODES, calls_server, group

log = logging.getLogger(__name__)

STATELESS: Final = frozenset(("api", "relay", "projector", "worker"))
CLOSE_TIMEOUT_S: Final = 1.8
"""Maximum time in which a stateless process closes its connections after it was told to stop."""


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="taskflow",
        description="A CQRS, event-sourced backend for teams that track work",
        epilog=f"`taskflow COMMAND --help` says more.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"taskflow {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="run all processes on this machine, and the servers that have no URL set")
    commands.add_parser("api", help="the HTTP API")
    commands.add_parser("relay", help="publish the event log to Kafka; one process leads, the others stand by")
    projector = commands.add_parser("projector", help="build the views from Kafka and the log")
    projector.add_argument("names", nargs="*", metavar="NAME", help="projections to run (default: all)")
    commands.add_parser("worker", help="run the background tasks; one process works, the others stand by")
    commands.add_parser("migrate", help="upgrade the event store's schema to this release")
    commands.add_parser("config", help="show every setting, its value and its source; secrets are masked")
    log = commands.add_parser("logs", help="show the logs of the processes of `taskflow up`")
    log.add_argument(
        "processes", nargs="*", metavar="PROCESS", help="api, relay, projector, worker, postgres … (default: all)"
    )
    log.add_argument("-f", "--follow", action="store_true", help="continue with new lines as they are written")
    admin = group(commands, "admin", "give system roles, and do what only an admin of the system may do", "")
    given = "give a registered person a system role, on the server's machine"
    grant = admin.add_parser("grant", help=given, description=f"{given.capitalize()}.")
    grant.add_argument("email", metavar="EMAIL", help="the address that the person registered with")
    grant.add_argument("role", choices=["admin", "analyst"], metavar="ROLE", help="admin, analyst")
    add_admin(admin)
    add_projections(commands)
    add_client_commands(commands)
    return root


def main(argv: list[str] | None = None) -> None:
    """Runs a command. Exits 0, 1 for an error that the message explains, 2 for wrong arguments; client commands have
    further exit codes (EXIT_CODES)."""
    root = parser()
    arguments = root.parse_args(argv)
    try:
        if calls_server(arguments):
            from taskflow.terminal.run import run as serve

            sys.exit(serve(arguments))
        if arguments.command == "completion":
            from taskflow.terminal.completion import script

            print(script(root, arguments.shell), end="", flush=True)
            return
        settings = Settings.from_env()
        match arguments.command:
            case "config":
                for name, value in settings.shown().items():
                    print(f"{name}={value}  ({source(settings, name)})")
            case "logs":
                logfiles.show(settings.data_path / "logs", arguments.processes, follow=arguments.follow)
            case command:
                sys.exit(run(command, settings, arguments))
    except TaskflowError as error:
        print(f"taskflow: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `taskflow logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(command: str, settings: Settings, arguments: argparse.Namespace) -> int:
    """Runs one process until it ends or receives SIGTERM or SIGINT. Returns its exit code."""
    if command not in {"up", "admin"}:
        logs.configure(settings, command)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        working = work(command, settings, arguments)
        _collect_seldom()
        return runner.run(_run_until_signal(working, leaves=command in STATELESS))


def _collect_seldom() -> None:
    """Makes full garbage collections rare: each stops the process for a tenth of a second and finds nothing.

    Imported modules stay alive. Objects of a request are freed by reference counting, and their few cycles in the two
    younger generations. Events and states are not tracked at all (`gc=False`): they cannot be in a cycle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 10, 1_000)


def work(command: str, settings: Settings, arguments: argparse.Namespace) -> Coroutine[Any, Any, int | None]:
    """Returns the coroutine that runs a command. Raises BadSettings at once if a needed setting is missing.

    Each process imports only what it needs. Any of them can be started by hand beside a running `taskflow up`.
    """
    match command:
        case "up":
            from taskflow.local.supervisor import up

            return up(settings)
        case "migrate":
            from taskflow.store.migrate import migrate_and_print

            return migrate_and_print(with_local_urls(settings, ["postgres_url"]))
        case "api":
            from taskflow.api import process as api

            return api.run(with_local_urls(with_secrets(settings)))
        case "relay":
            from taskflow.relay import process as relay

            return relay.run(with_local_urls(with_secrets(settings, OF_RELAY), ["postgres_url", "kafka_bootstrap"]))
        case "projector":
            from taskflow.projections import process as projections

            return projections.run(with_local_urls(with_secrets(settings, OF_PROJECTOR)), arguments.names)
        case "worker":
            from taskflow.worker import process as worker

            return worker.run(with_local_urls(with_secrets(settings, OF_WORKER), ["postgres_url", "mongodb_url"]))
        case _:
            from taskflow.commands.admin import grant

            return grant(with_local_urls(with_secrets(settings), ["postgres_url"]), arguments.email, arguments.role)


async def _run_until_signal(work: Coroutine[Any, Any, int | None], *, leaves: bool) -> int:
    """Awaits the work and cancels it on SIGTERM or SIGINT. With `leaves`, it has CLOSE_TIMEOUT_S to stop; then the process
    exits."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        task.cancel()
        if leaves:
            loop.call_later(CLOSE_TIMEOUT_S, _exit_now)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        return await task or 0
    except asyncio.CancelledError:
        return 0


def _exit_now() -> None:
    """Exits the process at once, because a driver may wait much longer for a server that hangs. Nothing is lost that a
    kill would not lose too."""
    log.warning("the process exits before it could close all its connections", extra={"after_s": CLOSE_TIMEOUT_S})
    logging.shutdown()
    os._exit(0)


def source(settings: Settings, name: str) -> str:
    """Returns where the value of a variable comes from, as text for `taskflow config`."""
    if os.environ.get(name):
        return "environment"
    if name in {variable(secret) for secret in SECRETS} and settings.env == "development":
        return f"{settings.data_dir}/secrets, made on first start"
    return "default"
