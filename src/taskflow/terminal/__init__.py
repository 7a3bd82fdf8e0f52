"""taskflow for people at a terminal: what they type, over the client.

parser_…    what may be typed                accounts   who is signed in where, kept in a file
run         who is asked, and exit codes     short_ids  a piece of an id, found again
tasks …     a group of commands a file       shown      tables for people, JSON for programs
completion  scripts for shells

It speaks to the server through `taskflow.client` alone.
"""
