-- append_group_v1: the one way into the log.
--
-- A group is a sequence of commands. Each command is compared with the store as the commands before it in the group left
-- it: the arrays `current` and `parents` are that overlay. A command that is not accepted leaves no trace, and costs only
-- those that depend on it.
--
-- Streams are named once, in stream_ids, and everywhere else by their index there, so that the loop over the commands
-- works on plain integer arrays; the inserts at the end are set-based. `…_ends` are inclusive upper indexes into flat
-- arrays: the checks of command c are those from check_ends[c-1]+1 to check_ends[c].
--
-- Dependencies may be earlier commands (whose events were read before they were committed) or later ones (the rest of a
-- bundle, which is stored as a whole or not at all: its first command depends on all others, and each of them on it).
--
-- status: 1 accepted; 2 accepted before, its receipt was found; 3 a stream had another version than the command was decided
-- on (missed_stream, missed_version); 4 not accepted because a command that it depends on was not.
--
-- The plans must not depend on how full the tables were when they were made. Planned on an empty store, the look-ups of
-- streams and receipts were scans of whole tables, and stayed scans while these grew: 75 µs a command became 270 within
-- two seconds. With these settings each look-up is a probe of an index, and each query is planned once a connection.
create or replace function append_group_v1(
    expected_epoch     integer,
    stream_ids         uuid[],
    stream_kinds       text[],
    callers            uuid[],
    command_ids        uuid[],
    fingerprints       bytea[],
    outcomes           smallint[],
    result_streams     integer[],
    dependency_ends    integer[],
    dependencies       integer[],   -- commands of the group, by index, that must be accepted for this one to be
    check_ends         integer[],
    check_streams      integer[],
    check_versions     integer[],
    family_ends        integer[],
    family_streams     integer[],   -- streams whose children must all be among the command's checks
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
    event_projects     uuid[],      -- the project that the event puts its stream into; null: as it is
    event_parents      uuid[],      -- the parent that the event gives its stream; nil: none; null: as it is
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
    first_dependency integer := 1;
    first_check     integer := 1;
    first_family    integer := 1;
    first_event     integer := 1;
    n               integer := cardinality(command_ids);
begin
    -- The append lock. It is held until the commit, so that the order of positions is the order of commits. Positions
    -- and recorded_at are taken after it.
    perform pg_advisory_xact_lock(7466);

    select * into meta from log_meta;
    if meta.epoch <> expected_epoch
       or meta.system_id <> (select system_identifier from pg_control_system())
       or meta.timeline <> ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int
    then
        raise exception 'the log is at epoch % of system %, timeline %; the writer expected epoch %',
            meta.epoch, meta.system_id, meta.timeline, expected_epoch using errcode = 'TF001';
    end if;

    -- What the store holds of the streams and receipts of this group.
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

    -- Each command in turn: dependencies, versions, children, then its events.
    for c in 1 .. n loop
        if statuses[c] = 1 then
            -- Of a later command only its receipt is known here: it has status 2 already, or still 1.
            for k in first_dependency .. dependency_ends[c] loop
                if statuses[dependencies[k]] <> 1 then statuses[c] := 4; end if;
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
                -- For streams that the group names, `parents` holds what the commands before this one left; for all
                -- others the table is right.
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
                -- A command without events answers with the last position of its stream.
                positions[c] := case when event_ends[c] >= first_event then next_position else last_at[s] end;
            end if;
        end if;
        first_dependency := dependency_ends[c] + 1;
        first_check := check_ends[c] + 1;
        first_family := family_ends[c] + 1;
        first_event := event_ends[c] + 1;
    end loop;

    -- The rows of all accepted commands, set by set.
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

comment on function append_group_v1 is 'Appends a group of commands in order; the outcome of each, in order.';
