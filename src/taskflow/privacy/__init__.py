"""Personal data: sealed with a key a person before it reaches a server, unreadable once the key is gone."""
