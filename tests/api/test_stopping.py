"""A process that is told to stop leaves nobody with an answer that cannot be acted on."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx
from msgspec.structs import replace

from taskflow.local.program import unused_port
from tests.api.stack import Caller, Process, Stack, refused, until


async def test_a_read_that_still_waits_is_told_to_come_again(stack: Stack, ada: Caller, tmp_path: Path) -> None:
    port = unused_port()
    api = Process(replace(stack.settings, api_port=port), tmp_path / "api.log", "api")
    stack.projector.pause()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:

            async def ready() -> bool:
                try:
                    return (await http.get("/livez")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready, "the process answers")
            task = await ada.task()
            here = replace(ada, http=http)
            sent = asyncio.Event()

            async def trace(event: str, _: Any) -> None:
                if event == "http11.send_request_body.complete":
                    sent.set()

            path, wanted = f"/tasks/{task['id']}", {"min_position": task["position"], "wait_ms": 10_000}
            reading = asyncio.create_task(here.get(path, params=wanted, extensions={"trace": trace}))
            await sent.wait()
            await http.get("/livez")  # it came later and is answered: the read is under way
            api.send(signal.SIGTERM)
            answer = await reading
            refused(answer, 503, "unavailable")
            assert "retry-after" in answer.headers
            assert api.wait() == 0
    finally:
        stack.projector.resume()
        api.end()
