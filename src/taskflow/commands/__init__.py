"""The write side: what may be asked (a file a kind of stream, or an idea of it), how it is decided and stored.

Command (a body)  ──▶ handler(unit, target, command): reads streams, judges access
                          └─▶ a decider: (state, …) -> events  pure
`declaration`   what a command is: body, target, role, decider, answer, route; makes most handlers
`unit_of_work`  what the decisions read and want appended: of one command, or of a bundle
`execute`       decide, append, decide again
`catalog`       every command by its name; `created_ids`: what it made, for others to name
`access`        who may; `fields`: what a body may hold

`task`          with `checklist`, `comments`, `relations`, `move`, `ranking` (`ranks`), `recurrence`, `undo`, `purge`
`project`       with `workflow`, `labels`, `invitations` (`invitation_tokens`)
`user`, `session`, `saved_view`, `admin`;  `imports`, `exported` and `brought`, for the importer
`adjacent_tasks`, `status_counts`  what no stream knows and somebody else is asked
"""
