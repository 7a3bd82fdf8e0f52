"""Messages on Kafka: what the relay writes and the projectors read.

message.py      an event or a watermark as a CloudEvents message, and back
mac.py          message authentication codes: a message that no key of ours signed is ignored
connection.py   how every client reaches the broker: address, TLS, SASL
topics.py       generations: which topic, how many partitions, which shard goes where
offsets.py      the end offsets of the topic's partitions
"""
