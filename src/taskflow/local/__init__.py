"""Runs real servers on a machine without Docker, and taskflow's processes beside them.

`private`     files and folders that only their owner can read
`program`     one child process: start, readiness check, stop; it dies with its parent
`postgres`, `kafka`, `mongodb`, `valkey`   prepare each server and describe it as a Program
`java`        the runtime for Kafka
`jars`        Kafka's jars, as `kafka.lock` names them
`addresses`   the servers' addresses, for commands run beside `taskflow up`
`servers`     starts the servers for which no URL is set
`logfiles`    prints log files, for `taskflow logs`
`supervisor`  `taskflow up`: starts servers, then processes, and restarts what dies
"""
