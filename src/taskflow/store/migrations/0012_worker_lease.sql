-- Which `taskflow worker` does the background tasks.

create table worker (
    only_row        boolean primary key default true check (only_row),
    fence           bigint not null default 0,
    holder          text,
    expires_at      timestamptz not null default '-infinity'
) with (fillfactor = 10);
comment on table worker is 'The lease of the process that does the background tasks, in one row like the relay''s.';
insert into worker default values;
