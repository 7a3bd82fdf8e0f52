"""A process that follows the log; `other` is the executor of one that writes to it."""

from tests.commands.conftest import executor, member, other, owner, project_id

__all__ = ["executor", "member", "other", "owner", "project_id"]
