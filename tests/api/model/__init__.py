"""What taskflow promises, once more and in few words, and a conversation in which it is compared with the real one.

    refusals     why something is not done
    workflow     statuses, the changes between them, and what takes the place of one that left
    project      members, labels, invitations; what their rules are
    task         what a task is, and how it is shown
    completion   changes of status, and when a recurring task is due next
    links        parents and relations: no circles, not too deep
    order        who stands where in a project
    undo         changes, what undoes them, and what that sets back
    history      a task folded from its events
    annulment    what a task is without one of them
    world        all of it together; access
    of_tasks, of_parts, of_projects    each command, on the world

    doors        how a command is sent to the real one, and what came back
    looking      all that can be read
    machine      the conversation: every answer is judged by the model too

The model knows nothing of the product: what there is is called what API.md calls it, and everything is a value, so
that a copy of the world costs nothing. What a rule leaves open is taken from the answer: ids, ranks, times and
tokens. Where several reasons stand against a command, which one is told is left open too, but for access: that is
first.
"""
