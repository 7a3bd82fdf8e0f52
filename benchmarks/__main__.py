"""`python -m benchmarks [NAME …] [--rounds N] [--seconds S] [--smoke]`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Final

from benchmarks import append, backlog, batch, http, readable
from benchmarks.interruptible import interruptible
from benchmarks.report import RoundFailed, Row, keep, machine, table
from benchmarks.world import HERE, open_world

BENCHES: Final = {"append": append, "http": http, "readable": readable, "batch": batch, "backlog": backlog}
AGAINST: Final = {
    "append": "eventsourcing",
    "http": "Express",
    "readable": "acknowledged",
    "batch": "one command a request",
    "backlog": "bulk upserts alone",
}


async def main(names: Sequence[str], *, rounds: int, seconds: float, smoke: bool) -> int:
    results = HERE / "results" / time.strftime("%Y%m%d-%H%M%S")
    failed = 0
    tables: list[str] = []
    for name in names:
        print(f"{name}:", flush=True)
        try:
            async with open_world() as world:
                rows: list[Row] = await BENCHES[name].run(world, rounds=rounds, seconds=seconds, smoke=smoke)
        except RoundFailed as failure:
            print(f"{name}: a round failed: {failure}", file=sys.stderr)
            return 1
        keep(results, name, rows)
        failed += sum(row.failed for row in rows)
        tables.append(f"### {name}\n\n{table(rows, against=AGAINST[name])}\n")
    print("\n".join(tables))
    print(
        f"{machine()}; {rounds} rounds of {seconds:.0f} s, medians; raw rounds in {results.relative_to(HERE.parent)}/"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], metavar="NAME", help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--smoke", action="store_true", help="one short round of each, to see that all of it works")
    given = parser.parse_args()
    if given.smoke:
        given.rounds, given.seconds = 1, 2
    raise SystemExit(
        asyncio.run(
            interruptible(
                main(given.names or list(BENCHES), rounds=given.rounds, seconds=given.seconds, smoke=given.smoke)
            )
        )
    )
