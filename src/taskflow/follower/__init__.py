"""The log follower of every API process: tails the log for changes that must take effect at once.

`access_state`      the folded state: ended sessions, memberships, system roles
`access`            answers access questions from that state and from this process's newer commits
`recent_positions`  recent positions by stream type and partition, for freshness
`follower`          tails the log: from a snapshot in PostgreSQL to the head, then continuously
`sse_hub`           sends new events to the open SSE connections of the process
"""
