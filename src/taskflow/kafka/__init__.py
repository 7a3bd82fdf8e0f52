"""What the relay and the projectors agree on.

message.py   an event or a watermark as a CloudEvents message, and back
topics.py    generations: which topic, how many partitions, which shard goes where
offsets.py   how far the broker's partitions reach
"""
