"""The first migration: creates the whole schema in an empty database, or takes over the last one of development.

Before anything was released the schema grew by nine migrations, 0001 to 0010. A database at exactly the last of them is
changed to what the first migration creates, and recorded as such; an older one has to be brought there first, by the
commit that still had these files. A test compares the two schemas in the catalogue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from taskflow.errors import StoreError
from taskflow.store.migration_steps import in_transaction

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    from taskflow.store.migration_files import Migration

ADOPTION: Final = "adopt_0010.sql"
TABLES: Final = "1_tables.sql"
"""The only file of the first migration that makes what a database of development has already."""
LAST_COMMIT: Final = "2f86c3b"
DEVELOPMENT: Final = {
    1: "5f8fe5ff8be36121cd30f09eb5060a6de150df8e88f7307af5878492f2bf1906",
    2: "bc7d7f919d5cb57229ca80148d79b932888a6b705ad55459b7598f08336e51c0",
    3: "5d820c6cf98e11ebed389f476c1a25b5b17a6b439e6a797f0cb6bfc8a800527a",
    4: "dfb030b2d66183c5a7008d6f510df5efdab43cf586871765e867397993c6d95c",
    5: "0db62402bfd3a9c57235c7c89e3b07f2f19030e8fdf6ba03ffad3e2d1a49a931",
    6: "0f8aa8e111cef12bfbe587287347bf65ea03cce021662ddd98882547f59dd0f9",
    8: "fb7c6df821b520cef36c764dcf0f9c9a1df39c9ee471b601078c2ef430712c7a",
    9: "454b384552e53934e92b355d6a4855c79e350b2e2d598841830528e7707fa9e4",
    10: "50694fba3e72390852bf46c3ae42896c44dfbb206148998f0026124284659d26",
}
"""Checksums of development's migrations by number, as `migrations` has them on record."""


def require_adoptable(applied: Mapping[int, Any]) -> None:
    """Raises StoreError unless exactly development's migrations were applied, all of them and unchanged."""
    for number, row in sorted(applied.items()):
        if row["checksum"] != DEVELOPMENT.get(number):
            raise StoreError(f"migration {row['name']} was edited after it had been applied")
    if len(applied) < len(DEVELOPMENT):
        raise StoreError(
            f"the database is at migration {max(applied):04d} of development, and this release takes over "
            f"{max(DEVELOPMENT):04d} alone: run `taskflow migrate` of commit {LAST_COMMIT} first, then this release's"
        )


async def adopt(connection: Any, first: Migration, folder: Traversable) -> None:
    """Changes a database at development's last migration to what the first migration creates."""
    functions = sorted((part.name, part.read_text()) for part in (folder / first.name).iterdir() if part.name != TABLES)

    async def work() -> None:
        await connection.execute((folder / ADOPTION).read_text())
        for _, text in functions:
            await connection.execute(text)
        await connection.execute("delete from migrations")
        await record(connection, first)

    await in_transaction(connection, f"taking over the schema of {max(DEVELOPMENT):04d}", work)


async def record(connection: Any, migration: Migration) -> None:
    """Records a migration as applied, within a transaction of the caller's."""
    await connection.execute("delete from migration_steps where number = $1", migration.number)
    await connection.execute(
        "insert into migrations (number, name, checksum) values ($1, $2, $3)",
        migration.number, migration.name, migration.checksum,
    )  # fmt: skip
