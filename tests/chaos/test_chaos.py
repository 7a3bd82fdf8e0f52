"""Everything is broken on purpose, round after round, while clients write and read. Then it is counted.

`make chaos` has 20 rounds of full length; a few short ones are part of the tests. A run that fails says which
seed strikes the same way again, and leaves its logs in `.taskflow/chaos/`.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.api.stack import ROOT, until
from tests.chaos.checker import Verdict, judge
from tests.chaos.clients import Crowd
from tests.chaos.evidence import Gathered, gather
from tests.chaos.faults import Fault, Round, rounds
from tests.chaos.imports import Importing, begin_importing
from tests.chaos.world import HEALED_S, PACES, World, open_world

CLIENTS: Final = 6
KEPT: Final = ROOT / ".taskflow" / "chaos"


class Run:
    """One run: what has happened so far, for whoever reads that it failed."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.seed = seed
        self.crowd = Crowd(world.urls, CLIENTS, seed)
        self.struck: Counter[str] = Counter()
        self.at = "nothing yet"
        self.verdict: Verdict | None = None
        self.repeats = 0
        self._dice = random.Random(f"{seed} strikes")

    async def round(self, number: int, steps: Round, importing: Importing) -> None:
        await importing.next_log()
        for step in steps:
            self.at = f"round {number}: {' and '.join(fault.name for fault in step)}"
            began = time.monotonic()
            await asyncio.gather(*[self._suffer(fault) for fault in step], self._kill_amid(importing))
            await self.world.raise_the_fallen()
            before = await self.crowd.answered()

            async def went_on(before: int = before) -> bool:
                return await self.crowd.answered() >= before + 2

            await until(went_on, "every client is answered again", within_s=HEALED_S)
            say(f"  {self.at}: {time.monotonic() - began:.1f} s")

    async def check(self, importing: Importing) -> list[str]:
        """What is wrong by now. Nobody writes meanwhile."""
        await self.crowd.pause(within_s=HEALED_S)
        await self.world.raise_the_fallen()
        with importing.held_still():
            gathered = await self._gathered()
        self.verdict, self.repeats = judge(gathered.evidence), gathered.repeats
        odd = [f"odd: {answer}" for answer in self.crowd.journal.odd]
        fallen = [f"fallen: {fall}" for fall in self.world.falls]
        return [*self.verdict.faults, *odd, *fallen]

    async def _gathered(self) -> Gathered:
        while True:
            await self.world.wait_until_well()
            gathered = await gather(self.world.direct, self.crowd.journal)
            if gathered.of_one_moment:
                return gathered

    async def _suffer(self, fault: Fault) -> None:
        pace = self.world.pace
        async with fault.strike(self.world, self._dice):
            # The length of the fault: nothing is waited for.
            await asyncio.sleep(pace.freeze_s if fault.freezes else pace.hold_s)
        self.struck[fault.name] += 1

    async def _kill_amid(self, importing: Importing) -> None:
        """Some time in the fault."""
        await asyncio.sleep(self.world.pace.hold_s * self._dice.random())
        await importing.kill_and_run_again()

    def table(self, importing: Importing) -> str:
        journal = self.crowd.journal
        verdict = self.verdict.counts() if self.verdict else {}
        rows = {
            "seed": self.seed,
            "faults": sum(self.struck.values()),
            "kinds of fault": len(self.struck),
            "writes acknowledged": len(journal.acknowledged),
            "sent again": journal.retries,
            "of these, had taken effect": journal.lost_answers,
            "reads with min_position": len(journal.reads),
            "reads refused": journal.refused,
            "logs imported": importing.logs,
            "kills of the import": importing.kills,
            "repeats on the topic": self.repeats,
            "ended by themselves": len(self.world.falls),
            "unexplained answers": len(journal.odd),
            "acknowledged and missing": verdict.get("missing", "?"),
            "applied twice": verdict.get("twice", "?"),
            "order broken": verdict.get("disorder", "?"),
            "stale against min_position": verdict.get("stale", "?"),
            "not the fold": verdict.get("unequal", "?"),
        }
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.struck.items()))
        return "\n".join(f"  {name:28}{value:>8}" for name, value in rows.items()) + f"\n  {faults}"


@pytest.mark.timeout(7_200)
async def test_nothing_that_was_promised_breaks(pytestconfig: pytest.Config) -> None:
    count = pytestconfig.getoption("--chaos-rounds")
    seed = pytestconfig.getoption("--chaos-seed") or random.SystemRandom().randrange(1, 10**6)
    say(f"\nchaos: seed {seed}")
    async with open_world(PACES[pytestconfig.getoption("--chaos-pace")]) as world:
        run = Run(world, seed)
        try:
            await _all_rounds(run, rounds(count, random.Random(f"{seed} rounds")))
        except BaseException:
            kept = KEPT / str(seed)
            shutil.copytree(world.servers.folder / "logs", kept, dirs_exist_ok=True)
            say(f"chaos: seed {seed} failed in {run.at}; the logs are in {_shown(kept)}")
            raise
        finally:
            await run.crowd.end()


async def _all_rounds(run: Run, dealt: list[Round]) -> None:
    await run.crowd.begin()
    importing = await begin_importing(run.world)
    try:
        for number, steps in enumerate(dealt, 1):
            await run.round(number, steps, importing)
            found = await run.check(importing)
            assert not found, _told(found, run)
            run.crowd.go_on()
        assert importing.kills, "it was killed in its middle"
        await importing.end()
        found = [*await run.check(importing), *await importing.faults()]
        assert not found, _told(found, run)
    finally:
        say(run.table(importing))
        await importing.stop()


def say(line: str) -> None:
    """For whoever watches: `-s` shows it, and a run that fails shows all of it."""
    print(line, flush=True)  # noqa: T201 - a report to a person


def _told(found: list[str], run: Run) -> str:
    first = "\n".join(fault[:2_000] for fault in found[:10])
    return f"seed {run.seed}, {run.at}: {len(found)} faults\n{first}"


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))
