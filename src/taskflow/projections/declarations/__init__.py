"""The projections that there are, a file each: the document of a stream, its sums, its indexes, what it invalidates. Pure.

A file that declares one is found by `registry`. `task_fields` names the fields of a task's document.
"""
