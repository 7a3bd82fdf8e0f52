"""The event store on PostgreSQL: appending, reading, states of streams, migrations.

append  ─▶ committer: groups ─▶ append_group: arrays, one call          a bundle is never split
log     ─▶ mapper: typed events ─▶ folds: states (snapshots)             by stream, position, shard
           history: filtered pages    past, historical_tasks: states at a point in time
`eventstore` opens all of these. `pool` connects, `migrate` applies migrations (`migration_files`, `migration_steps`,
`first_schema`), `partitions` attaches partitions, `lease` lets one process at a time do a piece of work. `recorded` is a stored
event; `library` is the same store under the interfaces of the `eventsourcing` library.
"""
