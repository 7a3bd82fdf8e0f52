"""HTTP: requests into commands, views into answers.

connection ─▶ conventions   request id, limits on bodies, headers, problems for whatever goes wrong
                 ▼
              gate          who calls, and whether they may call now
                 ▼
              routes        one table; a group of routes a file: identity, tasks, projects, commands …
              writes        a body ─▶ a command ─▶ the resource as of its version
              reads         a query ─▶ documents, as fresh as was asked for
              render        states as bodies
`problems` maps every error to its answer; `context` holds what a process has open; `process` serves.
"""
