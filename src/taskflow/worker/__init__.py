"""Background tasks: what has to be done without anybody asking. One worker does them, others stand by.

`process`   `taskflow worker`: stands by, holds the lease, works
`trash`     purges tasks that were in the trash for too long
"""
