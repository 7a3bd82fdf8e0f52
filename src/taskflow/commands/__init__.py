"""The write side: what may be asked (one file a kind of stream), how it is decided and stored.

Command (a body)  ──▶ handler(unit, target, command): reads streams, judges access
                          └─▶ a decider: (state, …) -> events  pure
`unit`     what the decision read and wants appended
`execute`  decide, append, decide again
`catalog`  every command by its name
"""
