// The peer: Emmett's PostgreSQL event store. WRITERS loops, each appending one event at a time to
// streams of its own, for SECONDS; prints the latencies in milliseconds as one JSON line.
import { randomUUID } from 'node:crypto'
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql'

const { POSTGRES_URL, WRITERS, SECONDS } = process.env
const store = getPostgreSQLEventStore(POSTGRES_URL)
const event = { type: 'TaskRetitled', data: { title: 'Write the report about the incident of last week' } }
await store.appendToStream(`warm-${randomUUID()}`, [event]) // makes the schema

const latencies = []
const started = performance.now()
const end = started + Number(SECONDS) * 1000
async function writer() {
  const stream = `task-${randomUUID()}`
  while (performance.now() < end) {
    const before = performance.now()
    await store.appendToStream(stream, [event])
    latencies.push(performance.now() - before)
  }
}
await Promise.all(Array.from({ length: Number(WRITERS) }, writer))
const seconds = (performance.now() - started) / 1000
await store.close()
process.stdout.write(`${JSON.stringify({ seconds, latencies })}\n`, () => process.exit(0))
