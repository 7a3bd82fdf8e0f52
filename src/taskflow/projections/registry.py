"""Every projection by its name."""

from __future__ import annotations

from typing import Final

from taskflow.projections.projects import PROJECTS
from taskflow.projections.tasks import TASKS
from taskflow.projections.users import USERS
from taskflow.projections.view import View
from taskflow.projections.views import SAVED_VIEWS

VIEWS: Final[dict[str, View]] = {view.name: view for view in (TASKS, PROJECTS, USERS, SAVED_VIEWS)}
