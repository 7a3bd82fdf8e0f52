"""The projections: build views in MongoDB from the events in Kafka and in the log.

Declarations of what is stored, for the writer and for `readmodels`:
`projection`             the type Projection; `declarations/`: every projection, one file each
`registry`               every projection by its name
`invalidation_versions`  pure: when cache keys were last invalidated, for pages that readers keep in memory
`collection_names`       the collections beside the documents; `mongo`: connections
The writer, which `readmodels` does not import:
`batch`                  pure: folds the events of one batch into documents, sums and invalidations
`messages`               pure: tells new messages from repeats, and finds gaps
`checkpoints`            the position of each partition, saved in the transaction of its documents
`reading`                the topic, fetched, verified and decoded once for all projections of a worker
`rejections`             counts messages that failed verification
`inbox`                  what waits for one projection, bounded in bytes
`writer`                 the states that a worker holds of a view; writes each batch in one transaction
`runner`                 one projection on one worker: from its inbox, or from the log, to its writer
`mongo_errors`           pure: which errors of MongoDB an operator must mend; `faults` tells of them
`process`                `taskflow projector`
"""
