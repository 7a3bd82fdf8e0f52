"""Servers of the real thing on a machine without Docker, and the processes of taskflow under one roof.

`private`     files and folders that only their owner reads
`program`     one child process: start, ready, stop; it dies with its parent
`postgres`, `kafka`, `mongodb`, `valkey`   what each server needs, as a Program
`java`        the runtime for Kafka
`jars`        Kafka's jars, as `kafka.lock` names them
`addresses`   where they are, for commands run beside `taskflow up`
`servers`     the ones that no URL replaces, started together
`logfiles`    what they wrote, for `taskflow logs`
`supervisor`  `taskflow up`: servers, then processes, restarted when they die
"""
