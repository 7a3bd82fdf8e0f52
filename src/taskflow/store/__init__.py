"""The event store on PostgreSQL: one append path (`committer`), one way to read (`log`), migrations."""
