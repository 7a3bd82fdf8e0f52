"""Background tasks, run by one worker at a time; other workers stand by.

`process`   `taskflow worker`: stands by, holds the lease, runs the tasks
`trash`     purges tasks whose retention time in the trash has passed
"""
