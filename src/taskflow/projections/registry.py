"""Every projection by its name."""

from __future__ import annotations

from typing import Final

from taskflow.projections.projection import Projection
from taskflow.projections.projects import PROJECTS
from taskflow.projections.saved_views import SAVED_VIEWS
from taskflow.projections.tasks import TASKS
from taskflow.projections.users import USERS

PROJECTIONS: Final[dict[str, Projection]] = {view.name: view for view in (TASKS, PROJECTS, USERS, SAVED_VIEWS)}
