"""Cards are put somewhere, by one person after the other and by many at once."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.stack import Caller, accepted, refused

AT_ONCE = 20


async def a_board(ada: Caller, count: int, **fields: Any) -> tuple[str, list[str]]:
    """A project with tasks, and their ids in order."""
    project = (await ada.project())["id"]
    return project, [(await ada.task(f"{n}", project_id=project, **fields))["id"] for n in range(count)]


async def order(ada: Caller, project: str, position: int) -> list[str]:
    listed = accepted(await ada.read("/tasks", position, project=project, sort="rank", limit=200))
    return [task["id"] for task in listed["items"]]


async def put(caller: Caller, task: str, **where: str) -> dict[str, Any]:
    return accepted(await caller.post(f"/tasks/{task}/rank", where))


class TestOneAfterTheOther:
    async def test_a_card_lands_right_after_or_before_another(self, ada: Caller) -> None:
        project, (a, b, c, d) = await a_board(ada, 4)
        first = await put(ada, d, after=a)
        assert (first["id"], first["version"]) == (d, 2)
        assert await order(ada, project, first["position"]) == [a, d, b, c]
        second = await put(ada, c, before=a)
        assert await order(ada, project, second["position"]) == [c, a, d, b]
        third = await put(ada, c, after=d, before=b)
        assert await order(ada, project, third["position"]) == [a, d, c, b]
        last = await put(ada, a, after=b)
        assert await order(ada, project, last["position"]) == [d, c, b, a]

    async def test_every_move_sees_the_ones_before_it_through_any_process(
        self, ada: Caller, other_http: httpx.AsyncClient
    ) -> None:
        doors = [ada, Caller(other_http, ada.id, ada.name, ada.token)]
        project, (head, *cards) = await a_board(ada, 8)
        for n, card in enumerate(cards):
            moved = await put(doors[n % 2], card, after=head)
        assert await order(ada, project, moved["position"]) == [head, *reversed(cards)]
        for n, card in enumerate(cards):
            moved = await put(doors[n % 2], card, before=head)
        assert await order(ada, project, moved["position"]) == [*cards, head]

    async def test_where_it_stands_already_nothing_happens(self, ada: Caller) -> None:
        _, (a, b, c) = await a_board(ada, 3)
        for task, where in (
            (b, {"after": a}),
            (b, {"before": c}),
            (b, {"after": a, "before": c}),
            (a, {"before": b}),
            (c, {"after": b}),
            (b, {"after": b}),
            (b, {"before": b}),
        ):
            body = await put(ada, task, **where)
            assert body["version"] == 1, where
        assert accepted(await ada.command("RankTask", b, data={"after": a}))["outcome"] == "unchanged"

    async def test_one_event_says_it(self, ada: Caller) -> None:
        _, (a, b, _) = await a_board(ada, 3)
        applied = accepted(await ada.command("RankTask", a, data={"after": b}))
        assert [event["type"] for event in applied["events"]] == ["TaskRanked"]
        history = accepted(await ada.get(f"/tasks/{a}/events"))["items"]
        assert history[-1]["data"] == {"rank": applied["result"]["rank"]}

    async def test_what_is_in_the_trash_is_no_neighbour(self, ada: Caller) -> None:
        project, (a, b, c, d) = await a_board(ada, 4)
        accepted(await ada.delete(f"/tasks/{b}"))
        moved = await put(ada, d, after=a)
        assert await order(ada, project, moved["position"]) == [a, d, c]

    async def test_a_repeat_has_the_same_answer(self, ada: Caller) -> None:
        _, (a, b, c) = await a_board(ada, 3)
        headers = {"Idempotency-Key": str(uuid4())}
        first = await ada.post(f"/tasks/{a}/rank", {"after": b}, headers=headers)
        await put(ada, a, after=c)
        again = await ada.post(f"/tasks/{a}/rank", {"after": b}, headers=headers)
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["idempotency-replayed"] == "true"

    async def test_many_at_one_place_keep_their_ranks_short(self, ada: Caller) -> None:
        project, (head, *cards) = await a_board(ada, 11)
        longest = 0
        for n in range(60):
            moved = await put(ada, cards[n % 10], after=head)
            longest = max(longest, len(moved["rank"]))
        assert longest < 100
        assert await order(ada, project, moved["position"]) == [head, *reversed(cards)]


class TestManyAtOnce:
    @pytest.mark.parametrize("side", ["after", "before"])
    async def test_all_get_there_and_none_is_lost(self, ada: Caller, other_http: httpx.AsyncClient, side: str) -> None:
        doors = [ada, Caller(other_http, ada.id, ada.name, ada.token)]
        project, (low, high, *cards) = await a_board(ada, AT_ONCE + 2)
        place = low if side == "after" else high
        moved = await asyncio.gather(*[put(doors[n % 2], card, **{side: place}) for n, card in enumerate(cards)])
        position = max(one["position"] for one in moved)
        found = await order(ada, project, position)
        assert (found[0], found[-1]) == (low, high)
        assert sorted(found[1:-1]) == sorted(cards)
        ranks = [one["rank"] for one in moved]
        assert len(set(ranks)) == AT_ONCE
        board = accepted(await ada.read(f"/projects/{project}/board", position))["columns"][0]
        assert board["count"] == AT_ONCE + 2
        assert [task["id"] for task in board["tasks"]] == found

    async def test_one_card_moved_by_many_is_where_the_last_put_it(
        self, ada: Caller, other_http: httpx.AsyncClient
    ) -> None:
        doors = [ada, Caller(other_http, ada.id, ada.name, ada.token)]
        project, (card, *others) = await a_board(ada, 10)
        moved = await asyncio.gather(*[put(doors[n % 2], card, after=other) for n, other in enumerate(others)])
        assert sorted(one["version"] for one in moved if one["version"] > 1) == list(
            range(2, 2 + sum(one["version"] > 1 for one in moved))
        )
        last = max(moved, key=lambda one: one["version"])
        found = await order(ada, project, last["position"])
        assert sorted(found) == sorted([card, *others])
        assert accepted(await ada.get(f"/tasks/{card}"))["rank"] == last["rank"]

    async def test_cards_that_change_places_while_their_neighbours_do(self, ada: Caller) -> None:
        project, cards = await a_board(ada, 10)
        moved = await asyncio.gather(*[put(ada, card, after=cards[(n + 3) % 10]) for n, card in enumerate(cards)])
        found = await order(ada, project, max(one["position"] for one in moved))
        assert sorted(found) == sorted(cards)


class TestRefusals:
    async def test_without_a_place_is_400(self, ada: Caller) -> None:
        task = await ada.task()
        for body in ({}, {"after": None}, {"after": None, "before": None}):
            problem = refused(await ada.post(f"/tasks/{task['id']}/rank", body), 400, "validation")
            assert problem["errors"][0]["code"] == "required"

    @pytest.mark.parametrize(
        ("body", "pointer"), [({"after": "x"}, "/after"), ({"before": 1}, "/before"), ({"behind": "x"}, "/behind")]
    )
    async def test_a_bad_field_is_named(self, ada: Caller, body: dict[str, Any], pointer: str) -> None:
        task = await ada.task()
        problem = refused(await ada.post(f"/tasks/{task['id']}/rank", body), 400, "validation")
        assert problem["errors"][0]["pointer"] == pointer

    async def test_only_a_task_of_the_same_project_is_a_place(self, ada: Caller, bob: Caller) -> None:
        task, elsewhere, bobs = (
            await ada.task(),
            await ada.task(project_id=(await ada.project())["id"]),
            await bob.task(),
        )
        for other in (elsewhere["id"], bobs["id"], str(uuid4()), ada.id):
            for side in ("after", "before"):
                refused(await ada.post(f"/tasks/{task['id']}/rank", {side: other}), 404, "not-found")

    async def test_between_two_the_wrong_way_round_is_no_place(self, ada: Caller) -> None:
        _, (a, b, c) = await a_board(ada, 3)
        for after, before in ((b, a), (b, b)):
            response = await ada.post(f"/tasks/{c}/rank", {"after": after, "before": before})
            refused(response, 409, "command-rejected", "order")

    async def test_the_trash_and_the_archive_have_no_order(self, ada: Caller) -> None:
        project, (a, b) = await a_board(ada, 2)
        accepted(await ada.delete(f"/tasks/{b}"))
        refused(await ada.post(f"/tasks/{b}/rank", {"after": a}), 409, "command-rejected", "trashed")
        refused(await ada.post(f"/tasks/{a}/rank", {"after": b}), 409, "command-rejected", "trashed")
        accepted(await ada.post(f"/tasks/{b}/restore"))
        accepted(await ada.delete(f"/projects/{project}"))
        refused(await ada.post(f"/tasks/{b}/rank", {"before": a}), 409, "command-rejected", "project-archived")

    async def test_a_stale_version_is_412(self, ada: Caller) -> None:
        _, (a, b, c) = await a_board(ada, 3)
        await put(ada, a, after=b)
        response = await ada.post(f"/tasks/{a}/rank", {"after": c}, headers={"If-Match": '"1"'})
        assert refused(response, 412, "version-conflict")["current_version"] == 2
