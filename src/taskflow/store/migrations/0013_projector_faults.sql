-- Why a projector cannot advance a projection, in the event store: MongoDB may be what refuses it.

create table projector_faults (
    projection  text not null,
    worker      text not null,
    reason      text not null,
    since       timestamptz not null default clock_timestamp(),
    seen_at     timestamptz not null default clock_timestamp(),
    primary key (projection, worker)
) with (fillfactor = 50);
comment on table projector_faults is 'Errors that an operator must mend. A worker repeats its own until it works again.';
