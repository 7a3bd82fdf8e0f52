-- The relay: which topic carries the log, who publishes to it, and how far.

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
    'Lease and progress in one row, so that one comparison with the fence guards both. The arrays have an
     element a partition, partition 0 first; null: not known, to be computed from the log or the broker.';
insert into relay default values;

-- What a reader of the log must know before it believes what it reads. Fails on a replica, which must not be tailed.
create function log_standing() returns table (
    "position" bigint, epoch integer, same_server boolean
) language sql stable as $$
    select h.position, m.epoch,
           m.system_id = c.system_identifier
           and m.timeline = ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int
      from log_head h, log_meta m, pg_control_system() c
$$;
comment on function log_standing is 'The head, the epoch, and whether this server is the one that the epoch belongs to.';

-- recorded_at never decreases with position, so halving finds the place without an index on time.
create function position_before(moment timestamptz) returns bigint
language plpgsql stable as $$
declare
    below  bigint := 0;                                    -- at or before it everything is older
    above  bigint := (select h.position from log_head h) + 1;  -- from it on nothing is
    middle bigint;
    taken  timestamptz;
begin
    while above - below > 1 loop
        middle := below + (above - below) / 2;
        select e.recorded_at into taken from events e
         where e.position >= middle and e.position < above order by e.position limit 1;
        if taken is not null and taken < moment then
            below := middle;
        else
            above := middle;
        end if;
    end loop;
    return below;
end $$;
comment on function position_before is 'The greatest position up to which every event was recorded before a moment.';
