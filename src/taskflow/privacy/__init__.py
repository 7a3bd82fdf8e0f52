"""What only the person may know or take away: data sealed with a key a person, passwords hashed.

`sealing`    which fields are personal, and how they look in the store
`keyring`    the keys of persons; a person whose key is gone is unreadable everywhere
`passwords`  argon2id
"""
