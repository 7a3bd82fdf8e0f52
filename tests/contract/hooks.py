"""What the checks cannot know: who calls, and which refusals and answers are right although a schema allows the request.

Loaded by schemathesis. Nothing here looks at a route's code: each excuse is for one kind of answer and says why.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from itertools import count
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5

import requests
import schemathesis
from hypothesis import strategies
from schemathesis.core.failures import AcceptedNegativeData, Failure, ServerError
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

BASE: Final = "/api/v1"
KEPT: Final = re.compile(rf"DELETE \S*{BASE}/(tasks|projects)/[^/]+$")
KEY_MAX: Final = 255
HEAD_TOO_LARGE: Final = 431
API: Final = f"{os.environ['CONTRACT_URL']}{BASE}"
TOKEN_KEPT_S: Final = 300
ENDS_A_SESSION: Final = f"{BASE}/auth/logout"

BY_STATE: Final = {
    "alone": "a clock without a time",
    "contradiction": "a version beside a time",
    "common": "a password that is among the most common ones",
    "normalised-length": "a password that is shorter in the form by which it is verified",
    "own-address": "a password that is its person's own address",
    "cursor": "a cursor that no page gave",
    "past-head": "a position that the log has not come to",
    "query": "words without a letter or a digit, or too many of them",
    "reference": "a command that is not in the batch",
    "repeated": "two commands of a batch with one id, or two statuses with one key",
    "no-such-status": "a transition between statuses that the workflow does not have",
    "stays": "a mapping of a status that does not leave",
    "rule": "a rule that never happens",
    "token": "a token that no answer gave",
    "time-zone": "a name in a person's settings that is no zone's",
}
"""Codes of faults that depend on what there is, or on two values together: JSON Schema has no words for these."""

RULES: Final = ("FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,WE", "rrule:freq=monthly;bymonthday=-1;count=12", "FREQ=YEARLY")
schemathesis.openapi.format("rrule", strategies.sampled_from(RULES))
ADDRESSES: Final = r"\A[a-z0-9_.+-]{1,20}@([a-z][a-z0-9]{0,9}\.){1,3}[a-z]{2,5}\Z"
schemathesis.openapi.format("idn-email", strategies.from_regex(ADDRESSES))
ZONES: Final = ("UTC", "Europe/Berlin", "Pacific/Auckland", "America/St_Johns")
schemathesis.openapi.format("time-zone", strategies.sampled_from(ZONES))


@schemathesis.auth(refresh_interval=TOKEN_KEPT_S).skip_for(path=ENDS_A_SESSION)
class Caller:
    """The person of this run, signed in anew before the token ends."""

    def get(self, case: Any, context: Any) -> str:
        return sign_in()

    def set(self, case: Any, token: str, context: Any) -> None:
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.auth(refresh_interval=None).apply_to(path=ENDS_A_SESSION)
class OnceOnly(Caller):
    """With a session that may end."""


def sign_in() -> str:
    body = {"email": os.environ["CONTRACT_EMAIL"], "password": os.environ["CONTRACT_PASSWORD"]}
    answer = requests.post(f"{API}/auth/login", json=body, timeout=30)
    answer.raise_for_status()
    token: str = answer.json()["access_token"]
    return token


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Every key and every command's id is new: under one that was used before, nothing else of a request is looked at.
    What a repeat is answered is tried in `tests/api`."""
    key = "Idempotency-Key"
    if key in case.headers and 0 < len(case.headers[key]) < KEY_MAX:
        case.headers[key] = _new()
    if case.path == f"{BASE}/commands" and isinstance(case.body, dict) and _is_id(case.body.get("id")):
        case.body = {**case.body, "id": _new()}
    if (
        case.path == f"{BASE}/commands/batch"
        and isinstance(case.body, dict)
        and "$" not in json.dumps(case.body, default=str)
    ):
        made: dict[str, str] = defaultdict(_new)
        commands = case.body.get("commands")
        if isinstance(commands, list):
            case.body = {**case.body, "commands": [_renamed(one, made) for one in commands]}


def _renamed(command: Any, made: dict[str, str]) -> Any:
    """With another id, the same for the same."""
    if not isinstance(command, dict) or not _is_id(command.get("id")):
        return command
    return {**command, "id": made[command["id"]]}


_turn: Final = count()


def _new() -> str:
    return str(uuid5(NAMESPACE_OID, str(next(_turn))))


def _is_id(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value.lower()
    except ValueError:
        return False


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:
    """False for what is no failure."""
    if isinstance(failure, RejectedPositiveData):
        return not _refused_by_state(response)
    if isinstance(failure, AcceptedNegativeData) and case.path == f"{BASE}/commands/batch":
        # One by one, each is answered for itself, and this is how a refusal is said.
        return all(result["outcome"] != "rejected" for result in response.json()["results"])
    if isinstance(failure, AcceptedNegativeData) and response.status_code == HEAD_TOO_LARGE:
        return False  # refused before anything was read: the check's own list of refusals ends at 429
    if isinstance(failure, AcceptedNegativeData) and "'idn-email' format" in failure.message:
        return False  # addresses are made here in one plain shape, and others are addresses too
    if isinstance(failure, UseAfterFree):
        # What is in the trash or archived is read as before.
        return not KEPT.search(failure.free)
    if isinstance(failure, ServerError):
        # A view may lag, and who asks for a position says how long to wait.
        return not _is_behind(case, response)
    return True


def _is_behind(case: Any, response: Any) -> bool:
    return (
        response.status_code == 503
        and response.json()["type"] == "/problems/projection-behind"
        and bool((case.query or {}).get("min_position"))
    )


def _refused_by_state(response: Any) -> bool:
    try:
        problem = json.loads(response.content)
    except ValueError:
        return False
    match response.status_code:
        case 400:
            return bool(problem.get("errors")) and all(fault["code"] in BY_STATE for fault in problem["errors"])
        case 412:  # a version that the resource does not have
            return "current_version" in problem
        case 422:  # an id that was used before
            return bool(problem["type"] == "/problems/idempotency-key-reused")
        case _:
            return False
