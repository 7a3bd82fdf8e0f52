"""The command line for people, on top of the client.

parser_…    arguments, options and help       accounts   the file of signed-in accounts, one for each server
run         dispatch and exit codes           short_ids  finds what a part of an id refers to
tasks …     one module a group of commands    output     tables for people, JSON for programs
completion  completion scripts for shells

It talks to the server only through `taskflow.client`.
"""
