-- The settings of a person are personal data from now on, and sealed with the person's key. A snapshot of before holds
-- them in clear, and is of a shape that nobody reads any more: it goes, and the next one is written sealed.
delete from snapshots using streams where streams.stream_id = snapshots.stream_id and streams.kind = 'user';
