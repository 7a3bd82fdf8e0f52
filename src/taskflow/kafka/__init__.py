"""What the relay and the projectors agree on.

message.py      an event or a watermark as a CloudEvents message, and back
mac.py          message authentication codes: who can write to the topic, but has no key, is believed nothing
connection.py   how every client reaches the broker: address, TLS, SASL
topics.py       generations: which topic, how many partitions, which shard goes where
offsets.py      how far the broker's partitions reach
"""
