"""The log, followed in every API process for the few facts that must act at once.

`facts`     what is folded: ended sessions, memberships, system roles
`access`    what they say of people, with what this process has written and not followed yet
`ring`      which partition moved when, among the recent positions
`follower`  the tail: from a snapshot in PostgreSQL to the head, and on
`feed`      what comes past, told to the open streams of the process
"""
