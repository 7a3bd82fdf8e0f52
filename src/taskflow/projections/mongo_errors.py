"""Tells errors of MongoDB that pass by themselves from those that an operator must mend. Pure."""

from __future__ import annotations

from typing import Any, Final

from bson.errors import BSONError
from pymongo.errors import BulkWriteError, ConfigurationError, OperationFailure, PyMongoError

TRANSIENT_LABELS: Final = ("TransientTransactionError", "RetryableWriteError", "UnknownTransactionCommitResult")
TRANSIENT_CODES: Final = frozenset(
    (
        *(6, 7, 89, 9001),  # a host that is not reached
        *(24, 46, 50, 64, 112, 202, 262),  # a lock or a time limit; a write concern; a write conflict
        *(43, 206, 225, 228, 239, 246, 251, 256, 290),  # cursors, sessions, snapshots and transactions that are over
        *(91, 189, 10107, 11600, 11602, 11601, 13435, 13436),  # a server that stops, starts, or is not the primary
        *(133, 134, 211, 234, 237, 317),  # an election; a pool that was cleared; a session that was killed
        11000,  # a document that is there already: the writer looks it up and goes on
    )
)
"""Codes of errors after which the same transaction may succeed. Every other one is told to the operator."""
CODE_NAMES: Final = {13: "Unauthorized", 18: "AuthenticationFailed", 121: "DocumentValidationFailure"}
"""Names of codes for errors within a bulk, which come without one."""
REFUSALS: Final = (PyMongoError, BSONError)
"""Every error of the driver: it encodes documents too."""


def permanent_fault(error: BaseException) -> str | None:
    """Returns why MongoDB refuses, without addresses and data, if waiting does not help; else None."""
    match error:
        case OperationFailure():
            return _refusal(error)
        case BSONError():
            return f"a document cannot be encoded ({type(error).__name__})"
        case ConfigurationError():
            return f"the connection is misconfigured ({type(error).__name__})"
        case _:
            return None


def _refusal(error: OperationFailure) -> str | None:
    if any(error.has_error_label(label) for label in TRANSIENT_LABELS):
        return None
    faults: list[dict[str, Any]] = [dict(error.details or {})]
    if isinstance(error, BulkWriteError):
        faults = list(faults[0].get("writeErrors") or faults[0].get("writeConcernErrors") or faults)
    for fault in faults:
        code: Any = fault.get("code", error.code)
        if code not in TRANSIENT_CODES:
            name = fault.get("codeName") or CODE_NAMES.get(code) or "error"
            return f"MongoDB refuses: {name} (code {code})"
    return None
