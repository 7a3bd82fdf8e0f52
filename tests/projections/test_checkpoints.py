"""Who holds a partition: the next holder ends what the one before left open, and nothing of its own."""

from __future__ import annotations

import pytest
from pymongo.errors import OperationFailure

from taskflow.kafka.topics import Generation
from taskflow.projections.checkpoints import Checkpoints
from taskflow.projections.mongo import Database
from taskflow.projections.registry import PROJECTIONS

PARTITION = 1
MANY = 10


@pytest.fixture
def checkpoints(database: Database) -> Checkpoints:
    return Checkpoints(database, PROJECTIONS["users"], Generation(number=1, topic="none", partitions=4))


async def test_the_next_holder_ends_the_transaction_that_the_one_before_left_open(
    database: Database, checkpoints: Checkpoints
) -> None:
    async with database.client.start_session() as before, database.client.start_session() as after:
        taken = await checkpoints.take(PARTITION, before)
        await before.start_transaction()
        await checkpoints.save([taken], [taken], before)  # as a worker that was killed here: it keeps the lock
        again = await checkpoints.take(PARTITION, after)
        await checkpoints.save([again], [again], after)
        with pytest.raises(OperationFailure) as ended:
            await before.commit_transaction()
        assert ended.value.has_error_label("TransientTransactionError")


async def test_who_takes_again_what_it_holds_goes_on_with_what_it_reads(
    database: Database, checkpoints: Checkpoints
) -> None:
    await database["read"].insert_many([{"_id": number} for number in range(MANY)])
    async with database.client.start_session() as session:
        await checkpoints.take(PARTITION, session)
        cursor = database["read"].find(batch_size=2, session=session)
        await cursor.next()
        await checkpoints.take(PARTITION, session)
        assert len(await cursor.to_list()) == MANY - 1
