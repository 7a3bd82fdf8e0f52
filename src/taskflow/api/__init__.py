"""The HTTP API: requests become commands, documents of the projections become responses.

connection ─▶ middleware      request id, limits on bodies, headers, errors as problems
                 ▼
              authentication  who sends the request, and the rate limits
                 ▼
              routes/         one file per group: identity, tasks, projects, commands …; `route`: what a route is
              writes          a body ─▶ a command ─▶ `answers`: the resource or part that it wrote, as of its version
                              `command_messages`: commands sent by name, and their outcomes; `repeats`: who may get an
                              answer of an earlier command
              reads           a query ─▶ documents as fresh as requested; `committed_state`: from the event store
                              `project_reads`, `joins`, `historical_tasks`, `historical_boards`: shared by routes
              render          states as bodies; `task_parts`, `invitation_bodies`: parts of streams; `envelopes`: events
                              `encoding`: JSON and ETags; `event_files`, `export_csv`: files
                              `cursors`, `sync_tokens`: where a client continues
`app`             has the one table of all routes, which `openapi/` documents; `streaming_response`: bodies in pieces.
`adjacent_tasks`  and `status_counts` implement the write side's interfaces to queries.
`problems`        maps errors to problem responses; `context` holds a process's connections; `process` runs the server.
"""
