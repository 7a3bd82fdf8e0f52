"""The write side: the commands (one module per type of stream, or per topic), their deciders and their execution.

Command (a body)  ──▶ handler(unit, target, command): reads streams, checks access
                          └─▶ a decider: (state, …) -> events  pure
`declaration`   a command's declaration: body, target, role, decider, answer, route; makes most handlers
`unit_of_work`  streams that were read and events to append, of one command or of several
`sealed_events` the events as they are stored, encoded and encrypted
`execute`       decides and appends, and decides again after a conflict
`catalog`       every command by its name; `created_ids`: ids that later commands of a batch can refer to
`access`        checks of roles; `fields`: types of the fields in bodies, with their limits

`task`          with `checklist`, `comments`, `relations`, `move`, `ranking` (`ranks`), `recurrence`, `undo`, `purge`
`project`       with `workflow`, `labels`, `invitations` (`invitation_tokens`)
`user`, `session`, `saved_view`, `admin`;  `project_import`, `task_import`, for imports
`hints`         queries of views: `adjacent_tasks`, `status_counts`, `acquaintances`
"""
