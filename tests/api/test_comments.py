"""Comments over HTTP: who says what, who is mentioned, and that it is there at once."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from taskflow.commands.fields import COMMENT_MAX, COMMENTS_BYTES_MAX
from tests.api.stack import Caller, accepted, refused

FIELDS = {"id", "task_id", "body", "mentions", "author", "created_at", "edited_at", "version"}
UNICODE = "Ünïcödé 日本語 👩‍👩‍👧‍👦 \u202eevil\u202c \x00 \\ \" ' <b> ' or 1=1 -- @[ada]"


async def comment(by: Caller, task: str, body: str = "a comment", **more: Any) -> dict[str, Any]:
    return accepted(await by.post(f"/tasks/{task}/comments", {"body": body}, **more), 201)


async def comments(by: Caller, task: str, **parameters: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = accepted(await by.get(f"/tasks/{task}/comments", params=parameters))["items"]
    return items


def elsewhere(caller: Caller, http: httpx.AsyncClient) -> Caller:
    return Caller(http, caller.id, caller.name, caller.token)


class TestWriting:
    async def test_a_comment_is_made_changed_and_deleted(self, ada: Caller) -> None:
        task = await ada.task()
        path = f"/tasks/{task['id']}/comments"
        response = await ada.post(path, {"body": "**first**"})
        made = accepted(response, 201)
        assert set(made) == FIELDS | {"position"}
        assert made["author"] == {"id": ada.id, "name": ada.name}
        assert (made["task_id"], made["body"], made["mentions"]) == (task["id"], "**first**", [])
        assert (made["version"], made["edited_at"]) == (2, None)
        one = f"{path}/{made['id']}"
        assert response.headers["location"] == f"/api/v1{one}"
        assert response.headers["taskflow-position"] == str(made["position"])
        assert response.headers["etag"].startswith('"2-')
        assert made == accepted(await ada.get(one)) | {"position": made["position"]}

        edited = accepted(await ada.patch(one, {"body": "second"}))
        assert edited["edited_at"] > made["created_at"]
        changed = {name: edited[name] for name in ("edited_at", "position")}
        assert edited == made | {"body": "second", "version": 3} | changed

        deleted = accepted(await ada.delete(one))
        assert (deleted["id"], deleted["version"], deleted["comment_count"]) == (task["id"], 4, 0)
        for gone in (await ada.get(one), await ada.patch(one, {"body": "x"}), await ada.delete(one)):
            refused(gone, 404, "not-found")
        assert await comments(ada, task["id"]) == []
        history = accepted(await ada.get(f"/tasks/{task['id']}/events"))["items"]
        assert [event["type"] for event in history[1:]] == ["CommentAdded", "CommentEdited", "CommentDeleted"]

    async def test_what_changes_nothing_keeps_version_and_position(self, ada: Caller) -> None:
        task = await ada.task()
        made = await comment(ada, task["id"], "same")
        response = await ada.patch(f"/tasks/{task['id']}/comments/{made['id']}", {"body": "same"})
        assert accepted(response) == made
        assert response.headers["taskflow-position"] == str(made["position"])

    async def test_any_text_comes_back_as_it_was(self, ada: Caller) -> None:
        task = await ada.task()
        made = await comment(ada, task["id"], UNICODE)
        assert made["body"] == UNICODE
        assert [one["body"] for one in await comments(ada, task["id"])] == [UNICODE]

    @pytest.mark.parametrize(
        ("body", "pointer", "code"),
        [
            ({}, "/body", "required"),
            ({"body": ""}, "/body", "length"),
            ({"body": " \n\t "}, "/body", "pattern"),
            ({"body": None}, "/body", "type"),
            ({"body": "x" * (COMMENT_MAX + 1)}, "/body", "length"),
            ({"body": "x", "author": "me"}, "/author", "unknown-field"),
        ],
    )
    async def test_a_bad_field_is_named(self, ada: Caller, body: dict[str, Any], pointer: str, code: str) -> None:
        task = await ada.task()
        made = await comment(ada, task["id"])
        path = f"/tasks/{task['id']}/comments"
        for response in (await ada.post(path, body), await ada.patch(f"{path}/{made['id']}", body)):
            problem = refused(response, 400, "validation")
            assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]

    async def test_the_longest_are_taken_until_a_task_is_full(self, ada: Caller) -> None:
        task = await ada.task()
        longest = "😀" * COMMENT_MAX
        fit = COMMENTS_BYTES_MAX // len(longest.encode())
        for _ in range(fit):
            made = await comment(ada, task["id"], longest)
        response = await ada.post(f"/tasks/{task['id']}/comments", {"body": longest})
        refused(response, 409, "command-rejected", "too-many-comments")
        accepted(await ada.delete(f"/tasks/{task['id']}/comments/{made['id']}"))
        await comment(ada, task["id"], longest)
        assert [one["body"] for one in await comments(ada, task["id"])] == [longest] * fit

    async def test_a_stale_version_is_refused(self, ada: Caller) -> None:
        task = await ada.task()
        made = await comment(ada, task["id"])
        path = f"/tasks/{task['id']}/comments"
        for response in (
            await ada.post(path, {"body": "x"}, headers={"If-Match": '"1"'}),
            await ada.patch(f"{path}/{made['id']}", {"body": "x"}, headers={"If-Match": '"1"'}),
            await ada.delete(f"{path}/{made['id']}", headers={"If-Match": '"1"'}),
        ):
            problem = refused(response, 412, "version-conflict")
            assert (problem["current_version"], problem["events"][0]["type"]) == (2, "CommentAdded")
        accepted(await ada.patch(f"{path}/{made['id']}", {"body": "x"}, headers={"If-Match": '"2"'}))


class TestWhoMay:
    async def test_only_the_author_edits_and_an_admin_deletes(self, ada: Caller, bob: Caller) -> None:
        project = (await ada.project())["id"]
        await ada.add(project, bob)
        task = await ada.task(project_id=project)
        hers, his = await comment(ada, task["id"]), await comment(bob, task["id"])
        path = f"/tasks/{task['id']}/comments"
        refused(await ada.patch(f"{path}/{his['id']}", {"body": "x"}), 403, "forbidden")
        refused(await bob.patch(f"{path}/{hers['id']}", {"body": "x"}), 403, "forbidden")
        refused(await bob.delete(f"{path}/{hers['id']}"), 403, "forbidden")
        accepted(await bob.patch(f"{path}/{his['id']}", {"body": "x"}))
        await ada.add(project, bob, "viewer")
        refused(await bob.patch(f"{path}/{his['id']}", {"body": "y"}), 403, "forbidden")
        refused(await bob.delete(f"{path}/{his['id']}"), 403, "forbidden")
        assert len(await comments(bob, task["id"])) == 2
        assert accepted(await ada.delete(f"{path}/{his['id']}"))["comment_count"] == 1

    async def test_a_comment_is_found_on_its_own_task_alone(self, ada: Caller) -> None:
        one, other = await ada.task(), await ada.task()
        made = await comment(ada, one["id"])
        path = f"/tasks/{other['id']}/comments/{made['id']}"
        for response in (await ada.get(path), await ada.patch(path, {"body": "x"}), await ada.delete(path)):
            refused(response, 404, "not-found")

    @pytest.mark.parametrize("nothing", ["x", "00000000-0000-0000-0000-000000000000"])
    async def test_nothing_is_404(self, ada: Caller, nothing: str) -> None:
        task = await ada.task()
        for path in (f"/tasks/{nothing}/comments", f"/tasks/{task['id']}/comments/{nothing}"):
            refused(await ada.get(path), 404, "not-found")
        refused(await ada.post(f"/tasks/{nothing}/comments", {"body": "x"}), 404, "not-found")
        refused(await ada.get(f"/tasks/{ada.id}/comments"), 404, "not-found")


class TestMentions:
    async def test_are_served_with_todays_names_and_the_body_as_it_was(self, ada: Caller, bob: Caller) -> None:
        project = (await ada.project())["id"]
        await ada.add(project, bob)
        task = await ada.task(project_id=project)
        text = f"@[{bob.id}], ask @[{ada.id}] or @[{bob.id}]"
        made = await comment(ada, task["id"], text)
        people = [{"id": bob.id, "name": bob.name}, {"id": ada.id, "name": ada.name}]
        assert (made["body"], made["mentions"]) == (text, people)
        renamed = accepted(await bob.patch("/users/me", {"name": "Robert"}))
        people[0]["name"] = "Robert"
        (found,) = await comments(ada, task["id"], min_position=renamed["position"])
        assert (found["body"], found["mentions"]) == (text, people)

    async def test_who_is_no_member_is_not_named(self, ada: Caller, bob: Caller) -> None:
        project = (await ada.project())["id"]
        task = await ada.task(project_id=project)
        text = f"@[{bob.id}] and @[{uuid4()}]"
        made = await comment(ada, task["id"], text)
        assert (made["body"], made["mentions"]) == (text, [])
        await ada.add(project, bob)
        assert [one["name"] for one in (await comments(ada, task["id"]))[0]["mentions"]] == [bob.name]
        accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
        assert (await comments(ada, task["id"]))[0]["mentions"] == []


class TestListing:
    async def test_is_oldest_first_in_pages_that_miss_nothing(self, ada: Caller) -> None:
        task = await ada.task()
        path = f"/tasks/{task['id']}/comments"
        said = [(await comment(ada, task["id"], f"{n}"))["id"] for n in range(7)]
        first = await ada.get(path, params={"limit": 3})
        assert [one["id"] for one in accepted(first)["items"]] == said[:3]
        assert first.headers["link"].endswith('>; rel="next"')
        # The one that the page ended with goes, and another is added, before the next is read.
        accepted(await ada.delete(f"{path}/{said[2]}"))
        said.append((await comment(ada, task["id"], "later"))["id"])
        found, cursor = [], accepted(first)["next_cursor"]
        while cursor is not None:
            page = accepted(await ada.get(path, params={"limit": 3, "cursor": cursor}))
            found += [one["id"] for one in page["items"]]
            cursor = page["next_cursor"]
        assert found == said[3:]

    async def test_an_unchanged_list_is_304(self, ada: Caller) -> None:
        task = await ada.task()
        made = await comment(ada, task["id"])
        for path in (f"/tasks/{task['id']}/comments", f"/tasks/{task['id']}/comments/{made['id']}"):
            etag = (await ada.get(path)).headers["etag"]
            assert (await ada.get(path, headers={"If-None-Match": etag})).status_code == 304

    @pytest.mark.parametrize(
        "parameters", [{"cursor": "x"}, {"cursor": "WyJjb21tZW50cyIsInh4Il0"}, {"limit": 0}, {"limit": 201}, {"q": "x"}]
    )
    async def test_a_bad_parameter_is_named(self, ada: Caller, parameters: dict[str, Any]) -> None:
        task = await ada.task()
        problem = refused(await ada.get(f"/tasks/{task['id']}/comments", params=parameters), 400, "validation")
        assert [error["pointer"] for error in problem["errors"]] == list(parameters)

    async def test_it_is_there_at_once_in_every_process(self, ada: Caller, other_http: httpx.AsyncClient) -> None:
        there = elsewhere(ada, other_http)
        task = await ada.task()
        for n in range(1, 21):
            one, other = (ada, there) if n % 2 else (there, ada)
            made = await comment(one, task["id"], f"{n}")
            assert [found["body"] for found in await comments(other, task["id"])] == [f"{m}" for m in range(1, n + 1)]
        # The names are a view's: with them, the answer is as fresh as the older of the two.
        response = await ada.read(f"/tasks/{task['id']}/comments", made["position"])
        assert int(response.headers["taskflow-position"]) >= made["position"]

    async def test_a_task_in_the_trash_keeps_what_was_said(self, ada: Caller) -> None:
        task = await ada.task()
        await comment(ada, task["id"], "kept")
        accepted(await ada.delete(f"/tasks/{task['id']}"))
        assert [one["body"] for one in await comments(ada, task["id"])] == ["kept"]


class TestRepeats:
    async def test_many_copies_through_two_processes_are_one_comment(
        self, ada: Caller, other_http: httpx.AsyncClient
    ) -> None:
        doors = [ada, elsewhere(ada, other_http)]
        task = await ada.task()
        headers = {"Idempotency-Key": str(uuid4())}
        path = f"/tasks/{task['id']}/comments"
        answers = await asyncio.gather(
            *[doors[n % 2].post(path, {"body": f"once @[{ada.id}]"}, headers=headers) for n in range(20)]
        )
        assert [answer.status_code for answer in answers] == [201] * 20
        assert len({(answer.content, answer.headers["location"], answer.headers["etag"]) for answer in answers}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
        assert len(await comments(ada, task["id"])) == 1

    async def test_a_late_repeat_has_the_old_answer(self, ada: Caller, other_http: httpx.AsyncClient) -> None:
        task = await ada.task()
        path = f"/tasks/{task['id']}/comments"
        first = await ada.post(path, {"body": "one"}, headers={"Idempotency-Key": "add"})
        one = f"{path}/{first.json()['id']}"
        idle = await ada.patch(one, {"body": "one"}, headers={"Idempotency-Key": "idle"})
        edit = await ada.patch(one, {"body": "two"}, headers={"Idempotency-Key": "edit"})
        await comment(ada, task["id"], "between")
        delete = await ada.delete(one, headers={"Idempotency-Key": "delete"})
        for door in (ada, elsewhere(ada, other_http)):
            for was, again in (
                (first, await door.post(path, {"body": "one"}, headers={"Idempotency-Key": "add"})),
                (idle, await door.patch(one, {"body": "one"}, headers={"Idempotency-Key": "idle"})),
                (edit, await door.patch(one, {"body": "two"}, headers={"Idempotency-Key": "edit"})),
                (delete, await door.delete(one, headers={"Idempotency-Key": "delete"})),
            ):
                assert (again.status_code, again.content) == (was.status_code, was.content)
                assert again.headers["idempotency-replayed"] == "true"
                for name in ("etag", "taskflow-position"):
                    assert again.headers[name] == was.headers[name]
                assert again.headers.get("location") == was.headers.get("location")
        assert (first.json()["body"], idle.json()["version"], edit.json()["body"]) == ("one", 2, "two")

    async def test_people_who_comment_at_once_all_are_heard(self, ada: Caller, other_http: httpx.AsyncClient) -> None:
        doors = [ada, elsewhere(ada, other_http)]
        task = await ada.task()
        made = await asyncio.gather(*[comment(doors[n % 2], task["id"], f"{n}") for n in range(20)])
        assert sorted(one["version"] for one in made) == list(range(2, 22))
        found = [one["id"] for one in await comments(ada, task["id"])]
        assert found == [one["id"] for one in sorted(made, key=lambda one: one["version"])]
