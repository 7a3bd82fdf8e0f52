"""The read side: queries of the views, for the API. Callers check access.

`read_models`      opens all of these
`freshness`        how fresh each view is; waits until a view is fresh
`queries`          reads the documents; `stats`: counts them
`pages`            pages of tasks, cached in memory until one of their boards changes
`boards`           boards, cached in Redis
`saved_views`      saved views, of people and of projects
`change_feed`      documents that changed since a position
`project_export`   all tasks of a project, from one snapshot
`batch_loader`     looks up single documents for many callers at once
`bounded_fetch`    fetches documents with one large field within a bound in bytes
`mongo_breaker`    circuit breaker for MongoDB
`rejections`       how many messages the projectors have rejected
"""
