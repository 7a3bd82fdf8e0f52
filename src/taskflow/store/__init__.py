"""The event store on PostgreSQL: one append path, one way to read, migrations.

append  ─▶ committer: groups ─▶ append_group: arrays, one call          a bundle is never split
log     ─▶ mapper: typed events ─▶ folds: states (snapshots)             by stream, position, shard
           history: pages of what somebody may see    past: streams as they were
`eventstore` opens it all; `pool` connects, `migrate` brings the schema, `partitions` the tables ahead of positions;
`lease`: who of several processes works; `recorded` is an event as it is held, `library` the same store for those who know `eventsourcing`.
"""
