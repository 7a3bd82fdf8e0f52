-- The tables of the log and of the relay, and what they need to exist: one function of an index, one of a trigger.

-- log_meta: which server the log belongs to -----------------------------------------------------------------------

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

-- log_head: the last position -------------------------------------------------------------------------------------

create table log_head (
    only_row      boolean primary key default true check (only_row),
    position      bigint not null default 0,
    recorded_at   timestamptz not null default '-infinity'
) with (fillfactor = 10);
comment on table log_head is
    'The last position given out. Updated once a group, under the append lock, so positions have no holes.';
insert into log_head default values;

-- streams: the version of each stream, and what appends compare ---------------------------------------------------

create table streams (
    stream_id       uuid primary key,
    kind            text not null,
    version         integer not null check (version > 0),
    first_position  bigint not null,
    last_position   bigint not null,
    occurred_at     timestamptz not null,
    project         uuid,
    parent          uuid
) with (fillfactor = 80);
create index streams_project on streams (project) where project is not null;
create index streams_parent on streams (parent) where parent is not null;
comment on column streams.occurred_at is 'Of the last event: occurred_at never decreases within a stream.';
comment on column streams.project is
    'Of projects and tasks: the project whose members may see the stream, set by the events that decide it. A moved task''s
     whole history belongs to its present project; events have no such column, so nothing is rewritten.';
comment on column streams.parent is
    'Of tasks: the parent task, set by the events that decide it. An append that moves a whole subtree compares it.';

-- events: the log, in partitions by position ----------------------------------------------------------------------

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
    'The log. Never updated, never deleted. No default partition: partitions are attached ahead (add_partition).';

-- Which tasks were ever in a project: a project's board at a time of the past is folded from them. Only the two types of
-- events that put a task into a project pay for the index. Its function has no version in its name: an index is only as
-- good as the function that it was built with, so another function comes with another index.
create function named_project(data bytea) returns bytea
language sql immutable strict parallel safe
return substring(data from position('"project_id":"'::bytea in data) + 14 for 36);
comment on function named_project is
    'The field project_id of an event, as text. Found by its characters, which no text within the event can hold (its quotes
     are escaped), and not by parsing: jsonb refuses a title that holds a NUL.';

create index events_task_places on events (named_project(data), stream_id)
    where type in ('TaskCreated', 'TaskMoved');

-- receipts: accepted commands -------------------------------------------------------------------------------------

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
    'One row per accepted command, kept as long as its events. caller: the user, or the nil UUID for nobody.';

-- keys: what personal data is sealed with -------------------------------------------------------------------------

create table keys (
    person        uuid primary key,
    wrapped_key   bytea,
    created_at    timestamptz not null default now()
);
comment on table keys is
    'One key per person or invitation, wrapped by the master key. Null: destroyed on purpose, and what it sealed is erased.
     A key without a row is damage.';

-- append_group inserts the rows of a group in the order of its commands; a row without a key destroys the key that is
-- there. A trigger, so that every version of append_group destroys keys alike.
create function destroy_key() returns trigger language plpgsql as $$
begin
    update keys set wrapped_key = null where person = new.person;
    if found then
        return null;
    end if;
    return new;
end $$;

create trigger destroy_key before insert on keys
    for each row when (new.wrapped_key is null) execute function destroy_key();

-- snapshots: states of long streams -------------------------------------------------------------------------------

create table snapshots (
    stream_id      uuid primary key,
    version        integer not null,
    state_version  smallint not null,
    state          bytea not null
);
comment on table snapshots is 'The newest state of each long stream, sealed like the events it was folded from.';

-- progress: how far readers of the log are ------------------------------------------------------------------------

create table progress (
    name        text primary key,
    position    bigint not null,
    state       bytea not null,
    updated_at  timestamptz not null default now()
);
comment on table progress is 'Log followers: the position of each, and the state that it folded up to there.';

-- topic_generations and relay: what publishes the log, and how far ------------------------------------------------

create table topic_generations (
    generation       integer primary key check (generation > 0),
    topic            text not null unique,
    partitions       integer not null check (partitions between 1 and 1024),
    sealed_position  bigint,
    created_at       timestamptz not null default now()
);
comment on table topic_generations is
    'Topics by age; partition = shard mod partitions. The newest is written, until sealed_position where that is set.';

create table relay (
    only_row        boolean primary key default true check (only_row),
    fence           bigint not null default 0,
    holder          text,
    expires_at      timestamptz not null default '-infinity',
    fault           text,
    generation      integer references topic_generations,
    position        bigint not null default 0,
    last_positions  bigint[],
    end_offsets     bigint[],
    moved_at        timestamptz
) with (fillfactor = 10);
comment on table relay is
    'Lease and progress in one row, so that one comparison with the fence guards both. The arrays have one element per
     partition, partition 0 first; null: not known, to be computed from the log or the broker.';
insert into relay default values;
