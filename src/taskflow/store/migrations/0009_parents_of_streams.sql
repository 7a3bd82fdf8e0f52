-- Which task each task stands below, so that what moves is known whole, and a child that comes meanwhile is a conflict.
-- Of a purged task nobody knows that it stood anywhere.

-- Nothing is appended until this is done: what is filled in below is then all that there is.
select pg_advisory_xact_lock(7466);

alter table streams add column parent uuid;
create index streams_parent on streams (parent) where parent is not null;
comment on column streams.parent is
    'Of tasks: the task that it stands below. Set by the events that decide it, compared where whole families are moved.';

-- As project_decided_by. A key of `source`, which comes last, is the importing person's own.
create function parent_decided_by(type text, data bytea) returns uuid
language sql immutable as $$
    select case when type in ('TaskCreated', 'TaskParentSet', 'TaskMoved', 'TaskPurged') then coalesce(
        substring(split_part(convert_from(data, 'UTF8'), '"source":{', 1) from '"parent_id":"([0-9a-f-]{36})"')::uuid,
        '00000000-0000-0000-0000-000000000000') end
$$;
comment on function parent_decided_by is
    'The task that an event puts its stream below; nil for none, null for most events, which leave it as it is.';

update streams s set parent = e.parent
  from (select distinct on (stream_id) stream_id,
               nullif(parent_decided_by(type, data), '00000000-0000-0000-0000-000000000000') as parent
          from events where type in ('TaskCreated', 'TaskParentSet', 'TaskMoved', 'TaskPurged')
         order by stream_id, stream_version desc) e
 where s.stream_id = e.stream_id and e.parent is not null;

-- As 0006 left it, with the parents that events decide, and a check of whole families.
create function append_group(
    expected_epoch     integer,
    stream_ids         uuid[],
    stream_kinds       text[],
    callers            uuid[],
    command_ids        uuid[],
    fingerprints       bytea[],
    outcomes           smallint[],
    result_streams     integer[],
    stand_ends         integer[],
    stands_on          integer[],   -- indexes of earlier commands of the group
    check_ends         integer[],
    check_streams      integer[],
    check_versions     integer[],
    family_ends        integer[],
    family_streams     integer[],   -- whose children the command's checks must hold, all of them
    event_ends         integer[],
    event_streams      integer[],
    event_versions     integer[],
    event_commands     integer[],
    shards             smallint[],
    types              text[],
    schema_versions    smallint[],
    event_ids          uuid[],
    occurred_ats       timestamptz[],
    actors             uuid[],
    correlation_ids    text[],
    causation_ids      uuid[],
    datas              bytea[],
    event_projects     uuid[],      -- where an event decides which project its stream belongs to
    event_parents      uuid[],      -- where it decides the task that its stream stands below; nil: none
    key_commands       integer[],
    key_persons        uuid[],
    key_wrapped        bytea[]
) returns table (
    status          smallint,
    fingerprint     bytea,
    outcome         smallint,
    stream_id       uuid,
    version         integer,
    "position"      bigint,
    events          smallint,
    recorded_at     timestamptz,
    missed_stream   uuid,
    missed_version  integer
)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    head            bigint;
    taken_at        timestamptz;
    meta            log_meta;
    found_ids       integer[];
    current         integer[];
    last_at         bigint[];
    first_at        bigint[];
    occurred        timestamptz[];
    projects        uuid[];
    parents         uuid[];
    family          uuid[];
    touched         boolean[];
    statuses        smallint[];
    versions        integer[];
    positions       bigint[];
    missed_streams  integer[];
    missed_versions integer[];
    next_position   bigint;
    c integer; k integer; s integer; e integer;
    first_stand     integer := 1;
    first_check     integer := 1;
    first_family    integer := 1;
    first_event     integer := 1;
    n               integer := cardinality(command_ids);
begin
    -- Held to the end of the transaction: positions are commit order. 'tf' is the log's own lock.
    perform pg_advisory_xact_lock(7466);

    select * into meta from log_meta;
    if meta.epoch <> expected_epoch
       or meta.system_id <> (select system_identifier from pg_control_system())
       or meta.timeline <> ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int
    then
        raise exception 'the log is at epoch % of system %, timeline %; the writer expected epoch %',
            meta.epoch, meta.system_id, meta.timeline, expected_epoch using errcode = 'TF001';
    end if;

    select h.position, greatest(h.recorded_at, clock_timestamp()) into head, taken_at from log_head h;
    next_position := head;

    select array_agg(coalesce(t.version, 0) order by i.ord), array_agg(coalesce(t.last_position, 0) order by i.ord),
           array_agg(t.parent order by i.ord)
      into current, last_at, parents
      from unnest(stream_ids) with ordinality as i (id, ord) left join streams t on t.stream_id = i.id;
    select array_agg(i.ord) into found_ids
      from unnest(callers, command_ids) with ordinality as i (caller, id, ord)
      join receipts r on r.caller = i.caller and r.command_id = i.id;

    first_at := array_fill(0::bigint, array[cardinality(stream_ids)]);
    occurred := array_fill(null::timestamptz, array[cardinality(stream_ids)]);
    projects := array_fill(null::uuid, array[cardinality(stream_ids)]);
    touched := array_fill(false, array[cardinality(stream_ids)]);
    statuses := array_fill(1::smallint, array[n]);
    if found_ids is not null then
        foreach c in array found_ids loop statuses[c] := 2; end loop;
    end if;
    versions := array_fill(0, array[n]);
    positions := array_fill(0::bigint, array[n]);
    missed_streams := array_fill(0, array[n]);
    missed_versions := array_fill(0, array[n]);

    for c in 1 .. n loop
        if statuses[c] = 1 then
            for k in first_stand .. stand_ends[c] loop
                if statuses[stands_on[k]] <> 1 then statuses[c] := 4; end if;
            end loop;
            if statuses[c] = 1 then
                for k in first_check .. check_ends[c] loop
                    s := check_streams[k];
                    if current[s] <> check_versions[k] then
                        statuses[c] := 3;
                        missed_streams[c] := s;
                        missed_versions[c] := current[s];
                        exit;
                    end if;
                end loop;
            end if;
            if statuses[c] = 1 and family_ends[c] >= first_family then
                -- `parents` is as the commands before this one left it; streams that nobody of the group named are as
                -- they are stored.
                family := array(select stream_ids[family_streams[i]] from generate_series(first_family, family_ends[c]) i);
                if exists (select 1 from unnest(parents) with ordinality as p (id, ord)
                            where p.id = any(family)
                              and p.ord::integer <> all(check_streams[first_check : check_ends[c]]))
                   or exists (select 1 from streams t where t.parent = any(family) and t.stream_id <> all(stream_ids))
                then
                    statuses[c] := 3;
                    missed_streams[c] := family_streams[first_family];
                    missed_versions[c] := current[family_streams[first_family]];
                end if;
            end if;
            if statuses[c] = 1 then
                for e in first_event .. event_ends[c] loop
                    s := event_streams[e];
                    if event_versions[e] <> current[s] + 1 then
                        raise exception 'command % appends version % to a stream at %',
                            command_ids[c], event_versions[e], current[s] using errcode = 'TF002';
                    end if;
                    next_position := next_position + 1;
                    current[s] := event_versions[e];
                    if event_versions[e] = 1 then first_at[s] := next_position; end if;
                    last_at[s] := next_position;
                    occurred[s] := occurred_ats[e];
                    touched[s] := true;
                    if event_projects[e] is not null then projects[s] := event_projects[e]; end if;
                    if event_parents[e] is not null then
                        parents[s] := nullif(event_parents[e], '00000000-0000-0000-0000-000000000000');
                    end if;
                end loop;
                s := result_streams[c];
                versions[c] := current[s];
                -- What changed nothing answers with the position of the stream as it was.
                positions[c] := case when event_ends[c] >= first_event then next_position else last_at[s] end;
            end if;
        end if;
        first_stand := stand_ends[c] + 1;
        first_check := check_ends[c] + 1;
        first_family := family_ends[c] + 1;
        first_event := event_ends[c] + 1;
    end loop;

    if next_position > head then
        insert into events
        select head + row_number() over (order by e.ord), expected_epoch, stream_ids[e.stream], e.version, e.shard,
               e.type, e.schema_version, e.event_id, e.occurred_at, taken_at, e.actor,
               command_ids[e.command], e.correlation_id, e.causation_id, e.data
          from unnest(event_commands, event_streams, event_versions, shards, types, schema_versions, event_ids,
                      occurred_ats, actors, correlation_ids, causation_ids, datas)
               with ordinality as e (command, stream, version, shard, type, schema_version, event_id,
                                     occurred_at, actor, correlation_id, causation_id, data, ord)
         where statuses[e.command] = 1
         order by e.ord;

        insert into streams as t (stream_id, kind, version, first_position, last_position, occurred_at, project, parent)
        select stream_ids[i], stream_kinds[i], current[i], first_at[i], last_at[i], occurred[i], projects[i],
               parents[i]
          from generate_series(1, cardinality(stream_ids)) i where touched[i]
        on conflict (stream_id) do update
           set version = excluded.version, last_position = excluded.last_position,
               occurred_at = excluded.occurred_at, project = coalesce(excluded.project, t.project),
               parent = excluded.parent;

        update log_head h set position = next_position, recorded_at = taken_at;
    end if;

    insert into receipts
    select callers[i], command_ids[i], fingerprints[i], outcomes[i], stream_ids[result_streams[i]], versions[i],
           positions[i], event_ends[i] - case when i = 1 then 0 else event_ends[i - 1] end, taken_at
      from generate_series(1, n) i where statuses[i] = 1;

    insert into keys (person, wrapped_key)
    select k.person, k.wrapped from unnest(key_commands, key_persons, key_wrapped) as k (command, person, wrapped)
     where statuses[k.command] = 1;

    return query
    select statuses[i], r.fingerprint, r.outcome, r.stream_id, r.version, r.position, r.events, r.recorded_at,
           case when statuses[i] = 3 then stream_ids[missed_streams[i]] end,
           case when statuses[i] = 3 then missed_versions[i] end
      from generate_series(1, n) i
      left join receipts r on statuses[i] in (1, 2) and r.caller = callers[i] and r.command_id = command_ids[i]
     order by i;
end $$;

-- What the release before this one calls, while it still runs.
create or replace function append_group(
    expected_epoch     integer,
    stream_ids         uuid[],
    stream_kinds       text[],
    callers            uuid[],
    command_ids        uuid[],
    fingerprints       bytea[],
    outcomes           smallint[],
    result_streams     integer[],
    stand_ends         integer[],
    stands_on          integer[],
    check_ends         integer[],
    check_streams      integer[],
    check_versions     integer[],
    event_ends         integer[],
    event_streams      integer[],
    event_versions     integer[],
    event_commands     integer[],
    shards             smallint[],
    types              text[],
    schema_versions    smallint[],
    event_ids          uuid[],
    occurred_ats       timestamptz[],
    actors             uuid[],
    correlation_ids    text[],
    causation_ids      uuid[],
    datas              bytea[],
    event_projects     uuid[],
    key_commands       integer[],
    key_persons        uuid[],
    key_wrapped        bytea[]
) returns table (
    status          smallint,
    fingerprint     bytea,
    outcome         smallint,
    stream_id       uuid,
    version         integer,
    "position"      bigint,
    events          smallint,
    recorded_at     timestamptz,
    missed_stream   uuid,
    missed_version  integer
)
language plpgsql as $$
#variable_conflict use_variable
begin
    return query select * from append_group(
        expected_epoch, stream_ids, stream_kinds, callers, command_ids, fingerprints, outcomes, result_streams,
        stand_ends, stands_on, check_ends, check_streams, check_versions, array_fill(0, array[cardinality(command_ids)]),
        '{}'::integer[], event_ends, event_streams, event_versions, event_commands, shards, types, schema_versions,
        event_ids, occurred_ats, actors, correlation_ids, causation_ids, datas, event_projects,
        array(select parent_decided_by(e.type, e.data)
                from unnest(types, datas) with ordinality as e (type, data, ord) order by e.ord),
        key_commands, key_persons, key_wrapped);
end $$;

comment on function append_group(integer, uuid[], text[], uuid[], uuid[], bytea[], smallint[], integer[], integer[],
    integer[], integer[], integer[], integer[], integer[], integer[], integer[], integer[], integer[], integer[],
    smallint[], text[], smallint[], uuid[], timestamptz[], uuid[], text[], uuid[], bytea[], uuid[], uuid[], integer[],
    uuid[], bytea[])
    is 'Appends a group of commands in order; the outcome of each, in order.';
