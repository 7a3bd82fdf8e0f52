"""The routes of the HTTP API with their handlers, one file per group.

people         `identity`, `profiles`, `calendar`
projects       `projects`, `invitations`, `stats`, `board`, `activity`, `views`, `export`
tasks          `tasks`, `comments`, `task_events`, `diff`
commands       `writes`: a route per command; `commands`, `batches`: any command, and many at once
the log        `events`: events that the caller may see, in pages or as a file; `stream`: live
copies         `sync`: changes since a token
"""
