"""taskflow from Python: a typed client, blocking (`Client`) and with `await` (`AsyncClient`).

    with Client("http://127.0.0.1:8000") as client:
        client.auth.login("grace@example.com", "a long enough password")
        task = client.tasks.create("Write the report", priority="high")
        client.tasks.complete(task.id, expected_version=task.version)
        for task in client.tasks.list(category=["done"], sort="-updated_at"):
            print(task.title)

    tasks, projects …   the methods; each returns a Call ─▶ call       method, path, body and type of the answer
    resource            turns such a method into one of `Client` and one of `AsyncClient`
    session             the flow of every call: idempotency key, token, position, retries (retries), errors (errors)
    following, sse      answers that are read in pieces and resumed after a break
    transports          performs the effects of a flow (effects): the only module that does I/O

It imports nothing from the server.
"""

from taskflow.client.clients import AsyncClient, Client
from taskflow.client.commands import Command
from taskflow.client.errors import (
    Behind,
    ClientError,
    CommandInProgress,
    Conflict,
    Fault,
    Forbidden,
    Gone,
    Invalid,
    KeyReused,
    NotFound,
    NothingToUndo,
    Problem,
    RateLimited,
    Rejected,
    ServerFault,
    Since,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unreachable,
    Unreadable,
    VersionConflict,
    refusal_of,
)
from taskflow.client.retries import Retries
from taskflow.client.session import Timeouts, Tokens, TokenStore

__all__ = [
    "AsyncClient",
    "Behind",
    "Client",
    "ClientError",
    "Command",
    "CommandInProgress",
    "Conflict",
    "Fault",
    "Forbidden",
    "Gone",
    "Invalid",
    "KeyReused",
    "NotFound",
    "NothingToUndo",
    "Problem",
    "RateLimited",
    "Rejected",
    "Retries",
    "ServerFault",
    "Since",
    "Timeouts",
    "TokenStore",
    "Tokens",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "Unreadable",
    "VersionConflict",
    "refusal_of",
]
