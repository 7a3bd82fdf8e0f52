"""The routes, a group of them a file: what may be asked over HTTP, and what stands behind it.

people         `identity`, `profiles`, `calendar`
projects       `projects`, `labels`, `invitations`, `stats`, `board` (`past_board`), `activity`, `views`, `export` (`export_csv`)
tasks          `tasks`, `comments`, `checklist`, `relations`, `task_events`, `past`
commands       `commands`, `batches`: many of them, which name what others make (`references`)
the log        `events`: as the caller may see it, in pages or as `event_files`; `stream`, as it happens
for a copy     `sync`: what changed since a token (`sync_tokens`)
"""
