"""The declarations of the projections, one file each: document, sums, indexes and cache invalidations. Pure.

`registry` finds every Projection declared here. `task_fields` names the fields of a task's document.
"""
