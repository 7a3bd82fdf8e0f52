"""The read side: from Kafka and the log to documents in MongoDB.

`view`         what a projection is; `tasks`, `projects`, `users`, `views`: one file each
`batch`        pure: events of one batch, folded into documents, sums and invalidations
`marks`        pure: when cache keys were last invalidated, for what readers keep in memory
`messages`     pure: which messages count, which are repeats, where a gap begins
`checkpoints`  how far each partition is, in the transaction of its documents
`writer`       what a worker holds of a view, written in one transaction a batch
`runner`       one projection on one worker: from Kafka, or from the log, to its writer
`process`      `taskflow projector`; `registry`: every projection by its name; `mongo`: connections
`freshness`    the API's side: how fresh a view is, and waiting for it
`queries`      the API's side: reading the documents; `stats`: counting them
`changed`      the API's side: documents that changed since a position
`saved`        the API's side: saved views, of people and of projects
`exported`     the API's side: all tasks of a project, as of one moment
`together`     the API's side: single documents, looked up for many callers at once
`reach`        the API's side: whether MongoDB answers
`pages`        the API's side: lists kept in memory for as long as nothing in them moved
"""
