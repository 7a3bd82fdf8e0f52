"""The counters behind every rate limit: shared by all processes in Redis, with local counters for when Redis is away.

take, reserve ─▶ Counters ─┬─ Redis answers in time ──────────────▶ one count for all processes
                           └─ Redis slow, gone, full, read-only ──▶ local counters: this process's share of the limit
"""
