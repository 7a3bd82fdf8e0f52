// Write → readable, as an open model: RATE commands a second begin whatever became of those before.
// Each creates a task and, acknowledged, reads it with the write's position until the view answers.
// Prints {seconds, acknowledged, readable, failed, failure}: latencies in milliseconds from the intended start.
import http from 'node:http'

const { URL_BASE, AUTHORIZATION, RATE, SECONDS } = process.env
const agent = new http.Agent({ keepAlive: true, maxSockets: 512 })
const headers = { Authorization: AUTHORIZATION, 'Content-Type': 'application/json' }
const body = JSON.stringify({ title: 'Write the report about the incident of last week' })

function call(method, path, payload) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${URL_BASE}${path}`, { method, headers, agent }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part) => { text += part })
      response.on('end', () => resolve({ status: response.statusCode, text }))
    })
    request.on('error', reject)
    request.end(payload)
  })
}

const acknowledged = []
const readable = []
let failed = 0
let failure = ''
async function one(intended) {
  try {
    const written = await call('POST', '/api/v1/tasks', body)
    if (written.status !== 201) throw new Error(written.text)
    acknowledged.push(performance.now() - intended)
    const { id, position } = JSON.parse(written.text)
    const read = await call('GET', `/api/v1/tasks/${id}?min_position=${position}&wait_ms=10000`)
    if (read.status !== 200) throw new Error(read.text)
    readable.push(performance.now() - intended)
  } catch (error) {
    failed += 1
    failure ||= String(error.message).slice(0, 200)
  }
}

const started = performance.now()
const all = []
const total = Number(RATE) * Number(SECONDS)
for (let n = 0; n < total; n += 1) {
  const intended = started + (n * 1000) / Number(RATE)
  const wait = intended - performance.now()
  if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait))
  all.push(one(intended))
}
await Promise.all(all)
const seconds = (performance.now() - started) / 1000
process.stdout.write(`${JSON.stringify({ seconds, acknowledged, readable, failed, failure })}\n`, () => process.exit(0))
