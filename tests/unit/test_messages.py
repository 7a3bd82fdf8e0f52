"""Which messages count: whatever of a partition's messages is lost, repeated or comes out of order."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.test_batch import recorded

from taskflow.kafka.message import Message
from taskflow.projections.messages import Gap, classify

# A partition's log: where its events are, among those of other partitions.
positions = st.lists(st.integers(1, 60), unique=True, max_size=25).map(sorted)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[int], list[Message]]:
    """A partition's events, and messages about it in any order, any of them missing or said again."""
    events: list[int] = draw(positions)
    before = dict(zip(events, [0, *events], strict=False))
    said = [Message(position=at, prev=before[at], epoch=1, generation=1, event=recorded(position=at)) for at in events]
    for head in draw(st.lists(st.integers(0, 80), max_size=6)):
        prev = max((at for at in events if at <= head), default=0)
        said.append(Message(position=head, prev=prev, epoch=1, generation=1, event=None))
    if not said:
        return events, []
    return events, draw(st.lists(st.sampled_from(said), max_size=60))


def read(events: list[int], checkpoint: int, messages: list[Message]) -> tuple[list[int], int]:
    """What a reader applies that reads gaps from the log; and where it then stands."""
    applied: list[int] = []
    for step in classify(checkpoint, messages):
        if isinstance(step, Gap):
            assert step.after == checkpoint
            applied += [at for at in events if step.after < at <= step.to]
            checkpoint = step.to
        else:
            applied += [step.event.position] if step.event else []
            assert step.position >= checkpoint
            checkpoint = step.position
    return applied, checkpoint


@given(delivered=deliveries(), checkpoint=st.integers(0, 70))
def test_exactly_the_events_after_the_checkpoint_are_applied_in_order(
    delivered: tuple[list[int], list[Message]], checkpoint: int
) -> None:
    events, messages = delivered
    applied, reached = read(events, checkpoint, messages)
    assert applied == [at for at in events if checkpoint < at <= reached]
    assert reached == max([checkpoint, *[message.position for message in messages]])


@given(delivered=deliveries(), sizes=st.lists(st.integers(1, 7), min_size=60, max_size=60))
def test_it_does_not_matter_how_messages_are_cut_into_batches(
    delivered: tuple[list[int], list[Message]], sizes: list[int]
) -> None:
    events, messages = delivered
    applied: list[int] = []
    checkpoint, rest = 0, list(messages)
    for size in sizes:
        more, checkpoint = read(events, checkpoint, rest[:size])
        applied += more
        del rest[:size]
    assert (applied, checkpoint) == read(events, 0, messages)


@given(delivered=deliveries())
def test_nothing_is_a_gap_where_nothing_is_missing(delivered: tuple[list[int], list[Message]]) -> None:
    events, _ = delivered
    before = dict(zip(events, [0, *events], strict=False))
    messages = [
        Message(position=at, prev=before[at], epoch=1, generation=1, event=recorded(position=at)) for at in events
    ]
    assert [type(step) for step in classify(0, [*messages, *messages])] == [Message] * len(events)


@given(delivered=deliveries())
@example(delivered=([4], []))
def test_a_watermark_alone_brings_a_reader_to_the_head(delivered: tuple[list[int], list[Message]]) -> None:
    events, _ = delivered
    last = max(events, default=0)
    mark = Message(position=99, prev=last, epoch=1, generation=1, event=None)
    assert read(events, 0, [mark]) == (events, 99)
