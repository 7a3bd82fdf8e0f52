"""Field names of a task's document, shared by the projection that writes it and the queries that read it.

Other data of the task is in `SHOWN` (the JSON that the API sends) or in `state` (to which the next event is applied).
"""

from __future__ import annotations

from typing import Final

PROJECT_ID: Final = "project_id"
FORMER_PROJECTS: Final = "former_projects"
STATUS: Final = "status"
ASSIGNEE_ID: Final = "assignee_id"
LABELS: Final = "labels"
PRIORITY: Final = "priority"
DUE_AT: Final = "due_at"
CREATED_AT: Final = "created_at"
UPDATED_AT: Final = "updated_at"
RANK: Final = "rank"
PARENT_ID: Final = "parent_id"
TRASHED: Final = "trashed"
TRASHED_AT: Final = "trashed_at"
PURGED: Final = "purged"
WORDS: Final = "words"
SHOWN: Final = "shown"
