"""Another system's tasks, sent to a server as commands of an import: run again, each is the one that it was.

file ─▶ rows ─▶ run: rows of each ticket in order ─▶ sender: batches ─▶ POST /commands/batch
mapping  what the columns become          target   the project that takes an import
exported a project that was exported, made again: exported_file is what such a file holds, exported_csv how as CSV
todoist  a Todoist backup
contract the fields and limits of what is sent, and the ids of commands
dry_run  what becomes of rows whose ticket the server does not know yet
process  `taskflow import`                report   what came of it          rejects  what was refused, with reasons
demo     `taskflow demo`, on examples/

It needs the client alone: a server is called, none is opened.
"""
