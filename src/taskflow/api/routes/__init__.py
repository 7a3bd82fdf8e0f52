"""The routes, a group of them a file: what may be asked over HTTP, and what stands behind it.

people         `identity`, `profiles`, `calendar`
projects       `projects`, `invitations`, `stats`, `board`, `activity`, `views`, `export`
tasks          `tasks`, `comments`, `task_events`, `diff`
commands       `writes`: a route for each; `commands`, `batches`: many of them
the log        `events`: as the caller may see it, in pages or as a file; `stream`, as it happens
for a copy     `sync`: what changed since a token
"""
