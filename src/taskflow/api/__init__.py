"""HTTP: requests into commands, views into answers.

connection ─▶ conventions   request id, limits on bodies, headers, problems for whatever goes wrong
                 ▼
              gate          who calls, and whether they may call now
                 ▼
              routes/       a group of them a file: identity, tasks, projects, commands …; `route`: what one is
              writes        a body ─▶ a command ─▶ `answers`: the resource, or the part of it, as of its version
              reads         a query ─▶ documents, as fresh as was asked for; `committed_state`: states from the event store
                            `project_reads`, `joins`, `historical_tasks`, `historical_boards`: shared by routes
              render        states as bodies; `task_parts`, `invitation_bodies`: what is less than a stream; `envelopes`: events
                            `event_files`, `export_csv`: as files; `cursors`, `sync_tokens`: where to go on
`app`             has the one table of all routes; `openapi/` tells of it. `streaming_response` sends what has no length.
`adjacent_tasks`  and `status_counts` ask the views on the write side's behalf.
`problems`        maps every error to its answer; `context` holds what a process has open; `process` serves.
"""
