"""`POST /commands/batch`: many commands in one request, one by one or all or nothing."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from tests.api.stack import Caller, accepted, refused, replayed
from tests.api.test_authorisation import COMMANDS, _fill, _owned

EITHER = pytest.mark.parametrize("atomic", [False, True])


def command(type_: str, target: str | None = None, **more: Any) -> dict[str, Any]:
    body = {"id": str(uuid4()), "type": type_, "data": {}} | more
    return body if target is None else body | {"target": target}


def create(title: str = "T", **fields: Any) -> dict[str, Any]:
    return command("CreateTask", data={"title": title} | fields)


async def send(caller: Caller, *commands: Any, atomic: bool, **more: Any) -> httpx.Response:
    return await caller.post("/commands/batch", {"atomic": atomic, "commands": list(commands)}, **more)


async def results(caller: Caller, *commands: Any, atomic: bool) -> list[dict[str, Any]]:
    answered: list[dict[str, Any]] = accepted(await send(caller, *commands, atomic=atomic))["results"]
    assert [one["id"] for one in answered] == [one["id"] for one in commands]
    return answered


async def head(caller: Caller) -> int:
    """The end of the log, but for what others may have appended."""
    position: int = (await caller.task())["position"]
    return position


async def history(caller: Caller, task: str) -> list[str]:
    return [one["type"] for one in accepted(await caller.get(f"/tasks/{task}/events"))["items"]]


# --- what is answered


@EITHER
async def test_each_command_answers_as_it_would_alone(ada: Caller, atomic: bool) -> None:
    task = await ada.task("one")
    sent = [create("two"), command("EditTask", task["id"], data={"title": "x"}), command("ReopenTask", task["id"])]
    response = await send(ada, *sent, atomic=atomic)
    answered = accepted(response)
    assert set(answered) == {"results"}
    made, edited, same = answered["results"]
    assert [one["outcome"] for one in answered["results"]] == ["applied", "applied", "unchanged"]
    assert (made["version"], edited["version"], same["version"]) == (1, 2, 2)
    assert same["position"] == edited["position"] == edited["events"][0]["position"] == made["position"] + 1
    assert (made["result"]["title"], edited["result"]["title"], same["events"]) == ("two", "x", [])
    assert response.headers["taskflow-position"] == str(edited["position"])
    assert "idempotency-replayed" not in response.headers
    assert "etag" not in response.headers
    for body, outcome in zip(sent, answered["results"], strict=True):
        alone = await ada.post("/commands", body)
        assert accepted(alone) == outcome | {"replayed": True}
        assert alone.headers["idempotency-replayed"] == "true"


async def test_a_refused_one_does_not_stop_the_others(ada: Caller) -> None:
    task = await ada.task()
    rejected = command("EditTask", task["id"], data={"status": "no such"})
    stale = command("EditTask", task["id"], expected_version=7, data={"title": "x"})
    response = await send(
        ada, create(), rejected, command("EditTask", str(uuid4())), stale, create("last"), atomic=False
    )
    answered = accepted(response)["results"]
    assert [one["outcome"] for one in answered] == ["applied", "rejected", "rejected", "rejected", "applied"]
    assert set(answered[1]) == {"id", "outcome", "problem"}
    problems = [one["problem"] for one in answered[1:4]]
    assert [(one["status"], one["type"]) for one in problems] == [
        (409, "/problems/command-rejected"),
        (404, "/problems/not-found"),
        (412, "/problems/version-conflict"),
    ]
    assert (problems[0]["code"], problems[2]["current_version"]) == ("no-such-status", 1)
    assert {one["instance"] for one in problems} == {"/api/v1/commands/batch"}
    assert set(problems[0]) == {"type", "title", "status", "detail", "instance", "code"}
    assert response.headers["taskflow-position"] == str(answered[4]["position"])
    alone = await ada.post("/commands", rejected)
    assert refused(alone, 409, "command-rejected") | {"instance": ""} == problems[0] | {"instance": ""}


async def test_where_all_are_refused_there_is_no_position(ada: Caller) -> None:
    response = await send(ada, command("TrashTask", str(uuid4())), atomic=False)
    assert accepted(response)["results"][0]["outcome"] == "rejected"
    assert "taskflow-position" not in response.headers
    assert "idempotency-replayed" not in response.headers


@pytest.mark.parametrize(
    ("bad", "status", "slug"),
    [
        ({"data": {"status": "no such"}}, 409, "command-rejected"),
        ({"data": {"title": "x"}, "expected_version": 7}, 412, "version-conflict"),
        ({"data": {"title": "x"}, "target": str(uuid4())}, 404, "not-found"),
        ({"data": {"due_at": "0001-01-01T00:00:00+14:00"}}, 400, "validation"),
    ],
)
async def test_all_or_nothing_is_nothing_where_one_is_refused(ada: Caller, bad: Any, status: int, slug: str) -> None:
    task = await ada.task("old")
    sent = [create(), command("EditTask", task["id"], data={"title": "new"}), command("EditTask", task["id"]) | bad]
    before = await head(ada)
    response = await send(ada, *sent, create(), atomic=True)
    problem = refused(response, status, slug)
    assert problem["command_id"] == sent[2]["id"]
    assert sent[2]["id"] in problem["detail"]
    assert "results" not in problem
    assert "taskflow-position" not in response.headers
    if slug == "validation":
        assert [one["pointer"] for one in problem["errors"]] == ["/commands/2/data/due_at"]
    if slug == "version-conflict":
        assert problem["current_version"] == 2, "as the commands before it would have left it"
    assert await history(ada, task["id"]) == ["TaskCreated"]
    assert await head(ada) == before + 1
    # Nothing of it is kept: the same ids may go another way.
    assert accepted(await ada.post("/commands", sent[1]))["version"] == 2


async def test_a_domains_pointer_leads_to_the_commands_data(ada: Caller) -> None:
    late = create(due_at="0001-01-01T00:00:00+14:00")
    [_, answered] = await results(ada, create(), late, atomic=False)
    assert [one["pointer"] for one in answered["problem"]["errors"]] == ["/commands/1/data/due_at"]
    problem = refused(await ada.post("/commands", late), 400, "validation")
    assert [one["pointer"] for one in problem["errors"]] == ["/data/due_at"]


async def test_a_filter_that_no_list_takes_is_its_commands_own_fault(ada: Caller) -> None:
    view = command("CreateView", data={"name": "V", "query": {"sort": ["rank", "due_at"]}})
    made, answered, after = await results(ada, create(), view, create(), atomic=False)
    assert [one["outcome"] for one in (made, answered, after)] == ["applied", "rejected", "applied"]
    assert [one["pointer"] for one in answered["problem"]["errors"]] == ["/commands/1/data/query/sort"]
    problem = refused(await send(ada, create(), view, atomic=True), 400, "validation")
    assert problem["command_id"] == view["id"]
    problem = refused(await ada.post("/commands", view), 400, "validation")
    assert [one["pointer"] for one in problem["errors"]] == ["/data/query/sort"]


# --- references


@EITHER
async def test_a_later_command_names_what_an_earlier_one_made(ada: Caller, bob: Caller, atomic: bool) -> None:
    await ada.add((await ada.project())["id"], bob)  # so she may add him to others
    project = command("CreateProject", data={"name": "P"})
    member = command("SetMember", f"${project['id']}/{bob.id}", data={"role": "member"})
    parent = create("Parent", project_id=f"${project['id']}")
    child = create("Child", project_id=f"${project['id']}", parent_id=f"${parent['id']}", assignee_id=bob.id)
    done = command("CompleteTask", f"${child['id']}")
    answered = await results(ada, project, member, parent, child, done, atomic=atomic)
    assert [one["outcome"] for one in answered] == ["applied"] * 5
    made = [one["result"]["id"] for one in answered]
    assert made[1] == made[0]
    assert made[4] == made[3]
    assert answered[3]["result"]["parent_id"] == made[2]
    assert answered[3]["result"]["assignee"]["id"] == bob.id
    assert answered[4]["result"]["status"] == "done"
    # Bob is a member at once, in this process.
    assert accepted(await bob.get(f"/projects/{made[0]}"))["role"] == "member"
    again = await send(ada, project, member, parent, child, done, atomic=atomic)
    assert accepted(again)["results"] == replayed(answered)
    assert again.headers["idempotency-replayed"] == "true"


@EITHER
async def test_parts_of_a_task_are_named_as_tasks_are(ada: Caller, atomic: bool) -> None:
    task, other = create("one"), create("other")
    there = f"${task['id']}"
    comment = command("AddComment", there, data={"body": "first"})
    edited = command("EditComment", f"{there}/${comment['id']}", data={"body": "second"})
    item = command("AddChecklistItem", there, data={"text": "buy"})
    checked = command("EditChecklistItem", f"{there}/${item['id']}", data={"done": True})
    related = command("AddRelation", there, data={"type": "blocks", "task_id": f"${other['id']}"})
    undone = command("UndoTask", there)
    ranked = command("RankTask", there, data={"after": f"${other['id']}"})
    sent = [task, other, comment, edited, item, checked, related, undone, ranked]
    answered = await results(ada, *sent, atomic=atomic)
    assert [one["outcome"] for one in answered] == ["applied"] * 9
    said = [one["result"] for one in answered]
    assert (said[2]["body"], said[3]["body"], said[3]["id"]) == ("first", "second", said[2]["id"])
    assert (said[5]["checklist"][0]["id"], said[5]["checklist"][0]["done"]) == (said[4]["id"], True)
    assert [one["task_id"] for one in said[6]["relations"]] == [said[1]["id"]]
    assert said[7]["relations"] == [], "only the newest change, of one command"
    assert said[7]["checklist"][0]["done"] is True
    assert said[8]["rank"] > said[1]["rank"]
    again = await send(ada, *sent, atomic=atomic)
    assert accepted(again)["results"] == replayed(answered)
    assert again.headers["idempotency-replayed"] == "true"


@EITHER
async def test_an_invitation_is_named_too(ada: Caller, atomic: bool) -> None:
    project = command("CreateProject", data={"name": "P"})
    there = f"${project['id']}"
    invited = command("InviteMember", there, data={"email": "grace@example.com", "role": "member"})
    revoked = command("RevokeInvitation", f"{there}/${invited['id']}")
    answered = await results(ada, project, invited, revoked, atomic=atomic)
    assert [one["outcome"] for one in answered] == ["applied"] * 3
    listed = accepted(await ada.get(f"/projects/{answered[0]['result']['id']}/invitations"))
    assert listed["items"] == []
    again = await send(ada, project, invited, revoked, atomic=atomic)
    assert accepted(again)["results"][2:] == replayed(answered[2:])


async def test_what_names_a_refused_one_is_refused_too(ada: Caller) -> None:
    first = create(project_id=str(uuid4()))
    child = create("Child", parent_id=f"${first['id']}")
    below = create("Below", parent_id=f"${child['id']}")
    answered = await results(ada, first, child, below, create("other"), atomic=False)
    assert [one["outcome"] for one in answered] == ["rejected", "rejected", "rejected", "applied"]
    assert answered[0]["problem"]["status"] == 404
    for one in answered[1:3]:
        assert (one["problem"]["status"], one["problem"]["code"]) == (409, "reference")


@EITHER
async def test_a_reference_is_to_an_earlier_command_of_the_batch(ada: Caller, atomic: bool) -> None:
    later = create("Later")
    sent = [create("x", parent_id=f"${later['id']}"), command("EditTask", f"${uuid4()}"), later]
    before = await head(ada)
    problem = refused(await send(ada, *sent, atomic=atomic), 400, "validation")
    assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [
        ("/commands/0/data/parent_id", "reference"),
        ("/commands/1/target", "reference"),
    ]
    assert await head(ada) == before + 1


async def test_what_only_looks_like_a_reference_is_text(ada: Caller) -> None:
    first = create("$100")
    [one, two] = await results(ada, first, create(f"see ${first['id']}", labels=["$x"]), atomic=True)
    assert (one["result"]["title"], two["result"]["title"]) == ("$100", f"see ${first['id']}")


# --- repeats


@EITHER
async def test_a_repeat_answers_the_same_and_says_so(ada: Caller, other_http: httpx.AsyncClient, atomic: bool) -> None:
    task = await ada.task("one")
    sent = [create("new"), command("EditTask", task["id"], data={"title": "two"}), command("StartTask", task["id"])]
    first = await send(ada, *sent, atomic=atomic)
    accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "three"}))
    accepted(await ada.delete(f"/tasks/{task['id']}"))
    for door in (ada, replace(ada, http=other_http)):
        again = await send(door, *sent, atomic=atomic, headers={"Idempotency-Key": "counts for nothing"})
        assert accepted(again)["results"] == replayed(accepted(first)["results"])
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["taskflow-position"] == first.headers["taskflow-position"]


@EITHER
async def test_an_answer_is_not_of_what_later_commands_made_of_the_workflow(ada: Caller, atomic: bool) -> None:
    project = (await ada.project())["id"]
    task = (await ada.task("one", project_id=project))["id"]
    over = {"key": "over", "name": "Over", "category": "done"}
    mapping = dict.fromkeys(("todo", "in_progress", "done", "cancelled"), "over")
    sent = [
        command("StartTask", task),
        command("SetWorkflow", project, data={"statuses": [over], "mapping": mapping}),
        command("EditTask", task, data={"title": "two"}),
    ]
    for _ in range(2):
        answered = await results(ada, *sent, atomic=atomic)
        assert [one["result"].get("status") for one in answered] == ["in_progress", None, "over"]


@EITHER
async def test_a_batch_that_was_cut_off_in_the_middle_goes_on(ada: Caller, atomic: bool) -> None:
    sent = [create("a"), create("b")]
    sent.append(create("c", parent_id=f"${sent[0]['id']}"))
    first = accepted(await ada.post("/commands", sent[0]))
    response = await send(ada, *sent, atomic=atomic)
    answered = accepted(response)["results"]
    assert answered[:1] == replayed([first])
    assert answered[2]["result"]["parent_id"] == first["result"]["id"]
    assert "idempotency-replayed" not in response.headers, "not all of it was"
    again = await send(ada, *sent, atomic=not atomic)
    assert accepted(again)["results"] == replayed(answered)
    assert again.headers["idempotency-replayed"] == "true"


async def test_one_id_stands_for_one_content(ada: Caller) -> None:
    first = create("a")
    accepted(await ada.post("/commands", first))
    changed = first | {"data": {"title": "b"}}
    answered = await results(ada, changed, create("c"), atomic=False)
    assert [one["outcome"] for one in answered] == ["rejected", "applied"]
    assert (answered[0]["problem"]["status"], answered[0]["problem"]["type"]) == (
        422,
        "/problems/idempotency-key-reused",
    )
    before = await head(ada)
    problem = refused(await send(ada, create("d"), changed, atomic=True), 422, "idempotency-key-reused")
    assert problem["command_id"] == first["id"]
    assert await head(ada) == before + 1


async def test_what_a_reference_stands_for_is_not_the_content(ada: Caller) -> None:
    """A command is what was sent: the same with the id in clear is another one."""
    first = create("a")
    child = create("b", parent_id=f"${first['id']}")
    [one, _] = await results(ada, first, child, atomic=True)
    clear = child | {"data": child["data"] | {"parent_id": one["result"]["id"]}}
    refused(await ada.post("/commands", clear), 422, "idempotency-key-reused")


@EITHER
async def test_twenty_copies_of_a_batch_have_one_effect(
    ada: Caller, other_http: httpx.AsyncClient, atomic: bool
) -> None:
    doors = [ada, replace(ada, http=other_http)]
    first = create("a")
    sent = [first, command("EditTask", f"${first['id']}", data={"title": "b"}), create("c")]
    answers = await asyncio.gather(*[send(doors[n % 2], *sent, atomic=atomic) for n in range(20)])
    answered = [accepted(response)["results"] for response in answers]
    assert all(replayed(one) == replayed(answered[0]) for one in answered)
    task = accepted(answers[0])["results"][0]["result"]["id"]
    assert await history(ada, task) == ["TaskCreated", "TaskRetitled"]


@EITHER
async def test_a_repeat_is_judged_by_todays_access(ada: Caller, bob: Caller, atomic: bool) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob)
    sent = [create("mine"), create("theirs", project_id=project)]
    answered = await results(bob, *sent, atomic=atomic)
    accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
    before = await head(bob)
    if atomic:
        problem = refused(await send(bob, create("new"), *sent, atomic=True), 404, "not-found")
        assert problem["command_id"] == sent[1]["id"]
        assert await head(bob) == before + 1, "what is new was not done either"
    else:
        again = await results(bob, *sent, atomic=False)
        assert again[:1] == replayed(answered[:1])
        assert again[1]["problem"]["status"] == 404


async def test_what_was_accepted_is_answered_though_what_it_names_may_not_be_shown_any_more(
    ada: Caller, bob: Caller
) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob)
    theirs = create("theirs", project_id=project)
    own = create("own", labels=[f"${theirs['id']}"])
    answered = await results(bob, theirs, own, atomic=False)
    assert answered[1]["result"]["labels"] == [answered[0]["result"]["id"]]
    accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
    again = await results(bob, theirs, own, create("new", labels=[f"${theirs['id']}"]), atomic=False)
    assert again[0]["problem"]["status"] == 404
    assert again[1:2] == replayed(answered[1:])
    assert again[2]["problem"]["code"] == "reference"


# --- what is wrong with a batch


@EITHER
async def test_nothing_runs_where_any_command_is_malformed(ada: Caller, atomic: bool) -> None:
    before = await head(ada)
    sent: list[Any] = [create(), create(title="", more=1), create() | {"type": "PaintTask"}, create(), create(), 7]
    sent[4]["id"] = sent[0]["id"]
    sent[3] |= {"data": {"title": ["x"]}, "target": "x"}
    problem = refused(await send(ada, *sent, atomic=atomic), 400, "validation")
    assert [one["pointer"] for one in problem["errors"]] == [
        "/commands/1/data/more",
        "/commands/1/data/title",
        "/commands/2/type",
        "/commands/3/target",
        "/commands/3/data/title",
        "/commands/4/id",
        "/commands/5",
    ]
    assert await head(ada) == before + 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/commands"),
        ({"atomic": True}, "/commands"),
        ({"commands": []}, "/commands"),
        ({"commands": {}}, "/commands"),
        ({"commands": [7], "atomic": "yes"}, "/atomic"),
        ({"commands": [7], "dry_run": "yes"}, "/dry_run"),
        ({"commands": [7], "more": 1}, "/more"),
        ({"commands": [create() for _ in range(101)]}, "/commands"),
    ],
)
async def test_a_batch_has_one_to_a_hundred_commands(ada: Caller, body: Any, pointer: str) -> None:
    problem = refused(await ada.post("/commands/batch", body), 400, "validation")
    assert [one["pointer"] for one in problem["errors"]] == [pointer]


@pytest.mark.parametrize("type_", ["RegisterUser", "NewSession"])
async def test_sessions_are_no_commands(ada: Caller, type_: str) -> None:
    problem = refused(await send(ada, command(type_), atomic=False), 400, "validation")
    assert [one["pointer"] for one in problem["errors"]] == ["/commands/0/type"]


async def test_unicode_and_the_largest_body(ada: Caller) -> None:
    sent = [create(f"Zoë {n} \U0001f600", description="ß" * 4_500) for n in range(100)]
    answered = await results(ada, *sent, atomic=True)
    assert [one["result"]["title"] for one in answered] == [one["data"]["title"] for one in sent]
    too_large = [create("x", description="ß" * 5_500) for n in range(100)]
    refused(await send(ada, *too_large, atomic=True), 413, "payload-too-large")


# --- strangers


@EITHER
async def test_a_stranger_gets_404_for_every_command(ada: Caller, bob: Caller, atomic: bool) -> None:
    names = await _owned(ada, bob)
    before = await history(ada, names["task"])
    sent = [command(type_, _fill(target, names), data=_fill(data, names)) for type_, target, data, _ in COMMANDS]
    if atomic:
        for one in sent:
            problem = refused(await send(bob, create(), one, atomic=True), 404, "not-found")
            assert problem["command_id"] == one["id"]
    else:
        answered = await results(bob, *sent, atomic=False)
        assert {one["problem"]["status"] for one in answered} == {404}
    assert await history(ada, names["task"]) == before


async def test_a_viewer_gets_403(ada: Caller, bob: Caller) -> None:
    names = await _owned(ada, bob)
    await ada.add(names["project"], bob, "viewer")
    edit = command("EditTask", names["task"], data={"title": "x"})
    [answered] = await results(bob, edit, atomic=False)
    assert answered["problem"]["status"] == 403
    refused(await send(bob, create(), edit, atomic=True), 403, "forbidden")


# --- many, and many at once


@EITHER
async def test_a_hundred_creates_can_be_ranked_and_read(ada: Caller, atomic: bool) -> None:
    project = command("CreateProject", data={"name": "P"})
    sent = [project, *[create(f"{n:02}", project_id=f"${project['id']}") for n in range(99)]]
    response = await send(ada, *sent, atomic=atomic)
    answered = accepted(response)["results"]
    assert {one["outcome"] for one in answered} == {"applied"}
    ranks = [one["result"]["rank"] for one in answered[1:]]
    assert ranks == sorted(set(ranks)), "each has a place of its own, in order"
    where = {"project": answered[0]["result"]["id"], "sort": "rank", "limit": 200}
    page = accepted(await ada.read("/tasks", int(response.headers["taskflow-position"]), **where))
    assert [one["title"] for one in page["items"]] == [f"{n:02}" for n in range(99)]


async def test_two_processes_send_batches_over_the_same_tasks(ada: Caller, other_http: httpx.AsyncClient) -> None:
    doors = [ada, replace(ada, http=other_http)]
    tasks = [(await ada.task())["id"] for _ in range(3)]

    async def one(n: int) -> httpx.Response:
        edits = [command("EditTask", task, data={"title": f"{n}"}) for task in tasks[n % 3 :] + tasks[: n % 3]]
        return await send(doors[n % 2], *edits, atomic=True)

    for response in await asyncio.gather(*[one(n) for n in range(20)]):
        assert {one["outcome"] for one in accepted(response)["results"]} == {"applied"}
    shown = [accepted(await ada.get(f"/tasks/{task}/events?limit=100"))["items"] for task in tasks]
    titles = [[one["data"]["title"] for one in events] for events in shown]
    assert titles[0] == titles[1] == titles[2]
    assert len(titles[0]) == 21


async def test_what_a_batch_withdraws_stops_at_once(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob)
    accepted(await bob.get(f"/projects/{project}"))
    await results(ada, command("RemoveMember", f"{project}/{bob.id}"), create(), atomic=True)
    refused(await bob.get(f"/projects/{project}"), 404, "not-found")


async def test_the_document_says_what_a_batch_is(http: httpx.AsyncClient) -> None:
    document = accepted(await http.get("/openapi.json"))
    operation = document["paths"]["/api/v1/commands/batch"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    commands = document["components"]["schemas"][body]["properties"]["commands"]
    assert (commands["minItems"], commands["maxItems"]) == (1, 100)
    assert commands["items"]["$ref"].endswith("/BatchedCommandBody")
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert set(document["components"]["schemas"][answer]["properties"]) == {"results"}
