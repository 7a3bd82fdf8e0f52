"""The projections: what writes the views, from Kafka and the log to documents in MongoDB.

`projection`             what a projection is; `declarations/`: those that there are, one file each
`registry`               every projection by its name
`invalidation_versions`  pure: when cache keys were last invalidated, for what readers keep in memory
`collection_names`       what is kept beside the documents; `mongo`: connections
These declare what is stored, for the writer and for `readmodels`. The writer, which `readmodels` does not import:
`batch`                  pure: events of one batch, folded into documents, sums and invalidations
`messages`               pure: which messages count, which are repeats, where a gap begins
`checkpoints`            how far each partition is, in the transaction of its documents
`rejections`             messages whose MAC is wrong, counted
`writer`                 what a worker holds of a view, written in one transaction a batch
`runner`                 one projection on one worker: from Kafka, or from the log, to its writer
`process`                `taskflow projector`
"""
