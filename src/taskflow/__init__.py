"""taskflow: a CQRS, event-sourced backend for teams that track work.

client ─▶ api/ ─▶ commands/  decide on states of streams/ ─▶ store/  the log (PostgreSQL)
                                                               │ in position order
                             follower/  in every API process ◀─┤
                                                               ▼
                                        relay/ ─▶ kafka/ ─▶ projections/ ─▶ MongoDB, cache/ (Redis)
client ◀─ api/ ◀──────────────────────────────────────────────────┘

api/process         HTTP server; routes by group            relay/leader          publishes the log to Kafka
commands/execute    decide, append, retry on conflict       kafka/message         wire format of an event
streams/            stream types: events, state, evolve     projections/runner    builds views from messages
store/committer     group commit of appends                 cache/cache           leases and invalidations
follower/follower   tails the log in API processes          privacy/sealing       encrypts personal data
follower/sse_hub    sends new events to SSE connections     store/history         reads the log for history
importer/           imports other systems' logs             local/supervisor      `taskflow up`
client/             Python client of the API                terminal/             `taskflow tasks …`, over the client
settings       every bound and address      errors      the tree of errors         cli           sub-commands
text/          names, search tokens, CSV    dates/      times and time zones       query/         filters of task lists
"""

from typing import Final

__version__: Final = "0.1.0"
