"""taskflow: a CQRS, event-sourced backend for teams that track work.

client ─▶ api/ ─▶ commands/  decide on states of streams/ ─▶ store/  the log (PostgreSQL)
                                                               │ in position order
                             follower/  in every API process ◀─┤
                                                               ▼
                                        relay/ ─▶ kafka/ ─▶ projections/ ─▶ MongoDB, cache/ (Redis)
client ◀─ api/ ◀──────────────────────────────────────────────────┘

api/process            one HTTP server; routes by group         relay/leader         the log, published
commands/execute       decide, append, decide again             kafka/message        an event on the wire
streams/               one file a kind: events, state, evolve   projections/runner   messages into views
store/committer        groups of appends, one transaction       cache/cache          leases and invalidations
follower/follower      what must act at once                    privacy/sealing      personal data, encrypted
follower/feed          the log, told as it happens              store/past, history  the log, asked for later
importer/              another system's log, as commands        local/supervisor     `taskflow up`
client/                Python's way to call it                  terminal/            `taskflow tasks …`, over the client
settings  every bound and address      errors  one tree      cli  one sub-command a process
words  what texts are found by         asked   what lists are asked for      parameters  each value taken once
cells  of CSV files, computed by nobody
"""

from typing import Final

__version__: Final = "0.1.0"
