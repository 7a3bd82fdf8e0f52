"""Another system's log, as commands: each row is one, and run again it is the same one.

file ─▶ rows ─▶ run: receipts, people, then the rows of each ticket in order ─▶ commands/imports
mapping  what the columns become          account  who imports, and project: into what
exported a project that was exported, made again: exported_file is what such a file holds, exported_csv how as CSV
todoist  a Todoist backup
rehearsal what a dry run executes its commands with      sending  commands on their way, what became of them
process  `taskflow import`                rejects  what was refused, with reasons
demo     `taskflow demo`, on examples/
"""
