"""From the log to Kafka: the only publisher.

process.py     stands by, leads a term, and again
leader.py      a term: reads the log by position, publishes, says watermarks, mends what the broker lost
publisher.py   an idempotent producer: a batch is delivered whole or fails
progress.py    how far the topic is, saved by compare-and-set on the fence
The lease is `store/lease.py`: one row says who leads, and its fence outlives whoever was slow to notice.
status.py      who leads and how far behind, for /health
"""
