"""HTTP: requests into commands, views into answers.

connection ─▶ conventions   request id, limits on bodies, headers, problems for whatever goes wrong
                 ▼
              gate          who calls, and whether they may call now
                 ▼
              routes        one table; a group of routes a file: identity, tasks, projects, commands …
              writes        a body ─▶ a command ─▶ `answers`: the resource, or the part of it, as of its version
              batches       many of them, which name what others make (`references`)
              reads         a query ─▶ documents, as fresh as was asked for
              past          a version or a time ─▶ states, from the event store; `past_board`
              events        the log as the caller may see it (`envelopes`): in pages, as `event_files`, as a `stream`
              sync          what changed since a token (`sync_tokens`)
              render        states as bodies; `parts`, `invited`: what is less than a stream
`neighbours` and `usage` ask the views on the write side's behalf; `trash` is emptied beside the requests.
`problems` maps every error to its answer; `context` holds what a process has open; `process` serves.
"""
