"""From the log to Kafka: the only publisher.

process.py     waits for the lease, leads until a failure, and starts again
leader.py      leading: reads the log by position, publishes, sends watermarks, republishes what the broker lost
publisher.py   an idempotent producer: a batch is delivered as a whole, or fails
progress.py    up to which position the topic has the log, saved by compare-and-set on the fencing number
status.py      who leads and how far it is behind, for /health

The lease is `store/lease.py`: one row with a fencing number, so that a former leader can save nothing.
"""
