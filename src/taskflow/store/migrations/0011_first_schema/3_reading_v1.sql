-- What readers of the log ask the store.

-- log_status_v1: asked before a process believes what it reads. Fails on a replica, which must not be tailed.
create or replace function log_status_v1() returns table (
    "position" bigint, epoch integer, same_server boolean
) language sql stable as $$
    select h.position, m.epoch,
           m.system_id = c.system_identifier
           and m.timeline = ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int
      from log_head h, log_meta m, pg_control_system() c
$$;
comment on function log_status_v1 is
    'The last position, the epoch, and whether this server is the one that the epoch belongs to.';

-- position_before_v1: a time as a position. recorded_at never decreases with position, so a binary search finds the
-- position without an index on time.
create or replace function position_before_v1(moment timestamptz) returns bigint
language plpgsql stable as $$
declare
    below  bigint := 0;                                        -- all events up to here are older
    above  bigint := (select h.position from log_head h) + 1;  -- no event from here on is older
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
comment on function position_before_v1 is
    'The greatest position up to which every event was recorded before a time.';
