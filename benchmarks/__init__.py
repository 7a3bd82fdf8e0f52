"""Measurements of taskflow beside its peers, in turns, on one machine: `make bench`, or `make bench-smoke`.

world      servers with full durability, taskflow's processes, peers
load       oha and vegeta: the load comes from outside the measured processes
append     the append path beside the plain library, Emmett, single inserts and COPY
http       creates, gets and lists beside Express + Mongoose
readable   from an acknowledged command to the view that shows it
backlog    a projector on a backlog beside bulk upserts; an import with everything running
report     rounds into medians, ratios and percentiles; hardware, versions, durability
"""
