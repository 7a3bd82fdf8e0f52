"""Which errors of MongoDB an operator is told of, and which pass by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import AutoReconnect, BulkWriteError, ConfigurationError, OperationFailure, PyMongoError

from taskflow.projections.mongo_errors import permanent_fault


def bulk(*codes: int, **details: Any) -> BulkWriteError:
    return BulkWriteError({"writeErrors": [{"code": code, "errmsg": "x"} for code in codes], **details})


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            OperationFailure("not authorized on x", 13, {"code": 13, "codeName": "Unauthorized"}),
            "Unauthorized (code 13)",
        ),
        (OperationFailure("auth", 18), "AuthenticationFailed (code 18)"),
        (OperationFailure("too large", 10334, {"code": 10334, "codeName": "BSONObjectTooLarge"}), "BSONObjectTooLarge"),
        (OperationFailure("no such command", 59, {"code": 59, "codeName": "CommandNotFound"}), "CommandNotFound"),
        (bulk(121), "DocumentValidationFailure (code 121)"),
        (bulk(11000, 121), "(code 121)"),
        (InvalidDocument("document too large"), "a document cannot be encoded (InvalidDocument)"),
        (ConfigurationError("x"), "the connection is misconfigured"),
    ],
)
def test_what_waiting_does_not_mend_is_named(error: Exception, reason: str) -> None:
    assert reason in (permanent_fault(error) or "")


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("mongodb://user:password@host"),
        PyMongoError("x"),
        OperationFailure("conflict", 112, {"code": 112}),
        OperationFailure("any", 1, {"code": 1, "errorLabels": ["TransientTransactionError"]}),
        OperationFailure("stepped down", 189),
        bulk(11000),
        bulk(121, errorLabels=["TransientTransactionError"]),
        TimeoutError(),
    ],
)
def test_what_passes_by_itself_is_not(error: Exception) -> None:
    assert permanent_fault(error) is None


def test_a_reason_holds_no_data_of_the_document() -> None:
    error = OperationFailure("value 'secret' refused", 2, {"code": 2, "codeName": "BadValue", "errmsg": "secret"})
    assert permanent_fault(error) == "MongoDB refuses: BadValue (code 2)"
