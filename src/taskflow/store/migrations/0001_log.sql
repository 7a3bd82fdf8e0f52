-- The log: one head, streams, events by ranges of position, receipts, keys, snapshots.
-- Everything an append touches is reached through append_group() (0002) under one lock.

create table log_meta (
    only_row      boolean primary key default true check (only_row),
    log_id        uuid not null default gen_random_uuid(),
    epoch         integer not null check (epoch > 0),
    system_id     bigint not null,
    timeline      integer not null,
    created_at    timestamptz not null default now()
);
comment on table log_meta is
    'Which server this log belongs to. An append on another system id or timeline is refused.';

insert into log_meta (epoch, system_id, timeline)
select 1, system_identifier, ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int
from pg_control_system();

create table log_head (
    only_row      boolean primary key default true check (only_row),
    position      bigint not null default 0,
    recorded_at   timestamptz not null default '-infinity'
) with (fillfactor = 10);
comment on table log_head is
    'The last position given out. Updated once a group, under the append lock, so positions have no holes.';
insert into log_head default values;

create table streams (
    stream_id       uuid primary key,
    kind            text not null,
    version         integer not null check (version > 0),
    first_position  bigint not null,
    last_position   bigint not null,
    occurred_at     timestamptz not null
) with (fillfactor = 80);
comment on column streams.occurred_at is 'Of the last event: occurred_at never decreases within a stream.';

create table events (
    position        bigint not null,
    epoch           integer not null,
    stream_id       uuid not null,
    stream_version  integer not null,
    shard           smallint not null check (shard between 0 and 1023),
    type            text not null,
    schema_version  smallint not null,
    event_id        uuid not null,
    occurred_at     timestamptz not null,
    recorded_at     timestamptz not null,
    actor           uuid,
    command_id      uuid not null,
    correlation_id  text,
    causation_id    uuid,
    data            bytea not null,
    primary key (position)
) partition by range (position);
create index events_stream on events (stream_id, stream_version);
create index events_shard on events (shard, position);
comment on table events is
    'The log. Never updated, never deleted. No default partition: ranges are attached ahead (add_events_range).';

create function add_events_range(from_position bigint, to_position bigint) returns boolean
language plpgsql set lock_timeout = '500ms' as $$
declare
    name text := 'events_' || lpad(from_position::text, 16, '0');
begin
    if to_regclass(name) is not null then
        return false;
    end if;
    -- A plain table with a CHECK attaches without a scan and without blocking readers or writers.
    execute format('create table %I (like events including defaults including constraints)', name);
    execute format('alter table %I add primary key (position)', name);
    execute format('create index on %I (stream_id, stream_version)', name);
    execute format('create index on %I (shard, position)', name);
    execute format('alter table %I add constraint in_range check (position >= %s and position < %s)',
                   name, from_position, to_position);
    execute format('alter table events attach partition %I for values from (%s) to (%s)',
                   name, from_position, to_position);
    execute format('alter table %I drop constraint in_range', name);
    return true;
end $$;

create table receipts (
    caller        uuid not null,
    command_id    uuid not null,
    fingerprint   bytea not null,
    outcome       smallint not null,
    stream_id     uuid not null,
    version       integer not null,
    position      bigint not null,
    events        smallint not null,
    recorded_at   timestamptz not null,
    primary key (caller, command_id)
);
comment on table receipts is
    'One row an accepted command, kept as long as its events. caller: the user, or the nil UUID for nobody.';

create table keys (
    person        uuid primary key,
    wrapped_key   bytea not null,
    created_at    timestamptz not null default now()
);
comment on table keys is 'A key a person, wrapped by the master key. Deleting a row erases the person.';

create table snapshots (
    stream_id      uuid primary key,
    version        integer not null,
    state_version  smallint not null,
    state          bytea not null
);
comment on table snapshots is 'The newest fold of long streams, sealed like the events it came from.';

create table progress (
    name        text primary key,
    position    bigint not null,
    state       bytea not null,
    updated_at  timestamptz not null default now()
);
comment on table progress is 'Where a reader of the log stands, with what it folded: log followers.';
