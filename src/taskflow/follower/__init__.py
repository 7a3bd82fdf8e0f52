"""The log, followed in every API process for the few facts that must act at once.

`access_state`      what is folded: ended sessions, memberships, system roles
`access`            what they say of people, with what this process has written and not followed yet
`recent_positions`  which partition moved when, among the recent positions
`follower`          the tail: from a snapshot in PostgreSQL to the head, and on
`sse_hub`           what comes past, told to the open streams of the process
"""
