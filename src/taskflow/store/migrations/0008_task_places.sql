-- Which tasks were ever in a project: what its board as it was is folded from.

-- A task's first event and each move say the project. No text can hold these characters: its quotes are escaped.
create function named_project(data bytea) returns bytea
language sql immutable strict parallel safe
return substring(data from position('"project_id":"'::bytea in data) + 14 for 36);
comment on function named_project is
    'The field project_id of an event, as text. Neither parses nor decodes: a title may hold what jsonb refuses.';

-- Only these events pay for it. Ranges that are attached later get it with the parent.
create index events_task_places on events (named_project(data), stream_id)
    where type in ('TaskCreated', 'TaskMoved');
