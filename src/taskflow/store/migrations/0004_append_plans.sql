-- append_group's plans must not depend on how full the tables were when they were made. Planned on an empty
-- store, its look-ups of streams and receipts were scans of the whole tables, and stayed scans while these
-- grew: 75 µs a command became 270 within two seconds, until the next analyze. Here every look-up is a probe of an
-- index, and every query is planned once a connection: planning six of them anew cost more than they did.
alter function append_group set plan_cache_mode = force_generic_plan;
alter function append_group set enable_seqscan = off;
alter function append_group set enable_hashjoin = off;
alter function append_group set enable_mergejoin = off;
