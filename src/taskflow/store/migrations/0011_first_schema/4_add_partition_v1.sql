-- add_partition_v1: a partition of events, attached before positions need it.
create or replace function add_partition_v1(from_position bigint, to_position bigint) returns boolean
language plpgsql set lock_timeout = '500ms' as $$
declare
    name text := 'events_' || lpad(from_position::text, 16, '0');
begin
    if to_regclass(name) is not null then
        return false;
    end if;
    -- A plain table with a CHECK is attached without a scan, and without blocking readers or writers.
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
comment on function add_partition_v1 is
    'Attaches the partition from one position up to another, exclusive; false where a partition begins there already.';
