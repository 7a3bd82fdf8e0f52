-- Makes the schema of migration 0010, the last of development, equal to that of 0011_first_schema/1_tables.sql. The files
-- with the functions of 0011_first_schema are applied after it.

-- Nothing is appended until this is committed.
select pg_advisory_xact_lock(7466);

-- Functions without a version in their names, and what only they called.
do $$
declare
    name regprocedure;
begin
    for name in
        select oid from pg_proc
         where pronamespace = current_schema()::regnamespace
           and proname in ('append_group', 'project_decided_by', 'parent_decided_by', 'log_standing', 'position_before',
                           'add_events_range')
    loop
        execute format('drop function %s', name);
    end loop;
end $$;

-- Comments that have changed since.
comment on column streams.project is
    'Of projects and tasks: the project whose members may see the stream, set by the events that decide it. A moved task''s
     whole history belongs to its present project; events have no such column, so nothing is rewritten.';
comment on column streams.parent is
    'Of tasks: the parent task, set by the events that decide it. An append that moves a whole subtree compares it.';
comment on table events is
    'The log. Never updated, never deleted. No default partition: partitions are attached ahead (add_partition).';
comment on function named_project is
    'The field project_id of an event, as text. Found by its characters, which no text within the event can hold (its quotes
     are escaped), and not by parsing: jsonb refuses a title that holds a NUL.';
comment on table receipts is
    'One row per accepted command, kept as long as its events. caller: the user, or the nil UUID for nobody.';
comment on table keys is
    'One key per person or invitation, wrapped by the master key. Null: destroyed on purpose, and what it sealed is erased.
     A key without a row is damage.';
comment on table snapshots is 'The newest state of each long stream, sealed like the events it was folded from.';
comment on table progress is 'Log followers: the position of each, and the state that it folded up to there.';
comment on table relay is
    'Lease and progress in one row, so that one comparison with the fence guards both. The arrays have one element per
     partition, partition 0 first; null: not known, to be computed from the log or the broker.';
