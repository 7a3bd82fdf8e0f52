"""Counters behind every rate limit: shared by all processes in Redis, and each process's own while Redis is not there.

take, reserve ─▶ counters: Redis answers in time ─▶ one count for all processes
                             └ slow, gone, full, read only ─▶ local counters: this process's share of the limit
"""
