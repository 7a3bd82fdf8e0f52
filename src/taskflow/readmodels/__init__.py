"""The read side: what the API reads views with. Access is judged by whoever asks.

`read_models`      all of these, opened once
`freshness`        how fresh each view is, and waiting for it
`queries`          reading the documents; `stats`: counting them
`pages`            lists kept in memory for as long as nothing in them moved
`boards`           boards, through Redis
`saved_views`      saved views, of people and of projects
`change_feed`      documents that changed since a position
`project_export`   all tasks of a project, as of one moment
`batch_loader`     single documents, looked up for many callers at once
`bounded_fetch`    documents with one large field, fetched within a bound in bytes
`mongo_breaker`    whether MongoDB answers
`rejections`       how many messages the projectors have rejected
"""
