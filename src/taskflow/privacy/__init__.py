"""Encryption of personal data with one key per person, and hashing of passwords.

`sealing`     which fields are personal, and their encrypted form in the store
`keyring`     the keys of persons; once a key is destroyed, the person's data is unreadable everywhere
`passwords`   argon2id, and which passwords are refused
`hash_queue`  a bounded, fair queue before the threads that hash
"""
