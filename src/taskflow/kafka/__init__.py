"""What the relay and the projectors agree on.

message.py   an event or a watermark as a CloudEvents message, and back
mac.py       who has no key can write to the topic, and is believed nothing
topics.py    generations: which topic, how many partitions, which shard goes where
offsets.py   how far the broker's partitions reach
"""
