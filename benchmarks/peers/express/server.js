// The peer: the task app that taskflow's users come from, as a careful team would write it today.
// Express + Mongoose + JWT + helmet, one process, majority and journaled writes, its own indexes.
// Every request is authenticated, and authorised by the project's members, as taskflow's are.
import { randomUUID } from 'node:crypto'
import express from 'express'
import helmet from 'helmet'
import jwt from 'jsonwebtoken'
import mongoose from 'mongoose'

const { MONGODB_URL, PORT, JWT_SECRET } = process.env

const { Schema } = mongoose
const durable = { writeConcern: { w: 'majority', j: true } }

const User = mongoose.model('User', new Schema({ email: { type: String, unique: true }, name: String }, durable))
const Project = mongoose.model(
  'Project',
  new Schema({ name: String, members: [{ user: { type: Schema.Types.ObjectId, ref: 'User' }, role: String }] }, durable)
    .index({ 'members.user': 1 }),
)
const Task = mongoose.model(
  'Task',
  new Schema(
    {
      project: { type: Schema.Types.ObjectId, ref: 'Project', required: true },
      title: { type: String, required: true, minlength: 1, maxlength: 500 },
      description: { type: String, default: '', maxlength: 100000 },
      status: { type: String, enum: ['todo', 'in_progress', 'done', 'cancelled'], default: 'todo' },
      priority: { type: String, enum: ['low', 'medium', 'high', 'urgent'], default: 'medium' },
      labels: [String],
      assignee: { type: Schema.Types.ObjectId, ref: 'User', default: null },
      dueAt: { type: Date, default: null },
      createdBy: { type: Schema.Types.ObjectId, ref: 'User' },
    },
    { ...durable, timestamps: true },
  )
    .index({ project: 1, createdAt: 1, _id: 1 })
    .index({ project: 1, status: 1 })
    .index({ assignee: 1 }),
)

const app = express()
app.use(helmet())
app.use(express.json({ limit: '1mb' }))
app.use((request, response, next) => {
  response.set('X-Request-ID', request.get('X-Request-ID') ?? randomUUID())
  next()
})

app.use('/api', (request, response, next) => {
  const [, token] = (request.get('Authorization') ?? '').split(' ')
  try {
    request.user = jwt.verify(token, JWT_SECRET, { algorithms: ['HS256'] }).sub
    next()
  } catch {
    response.status(401).json({ error: 'unauthenticated' })
  }
})

const member = (project, user) => Project.exists({ _id: project, 'members.user': user })

app.post('/api/tasks', async (request, response) => {
  const { project, title, description, priority, labels, assignee, dueAt } = request.body
  if (!(await member(project, request.user))) return response.status(404).json({ error: 'no such project' })
  const task = await Task.create({
    project, title, description, priority, labels, assignee, dueAt, createdBy: request.user,
  })
  response.status(201).location(`/api/tasks/${task.id}`).json(task)
})

app.get('/api/tasks', async (request, response) => {
  const { project, status, limit = '50', after } = request.query
  if (!(await member(project, request.user))) return response.status(404).json({ error: 'no such project' })
  const filter = { project, ...(status && { status }), ...(after && { createdAt: { $gt: new Date(after) } }) }
  const items = await Task.find(filter)
    .sort({ createdAt: 1, _id: 1 })
    .limit(Math.min(Number(limit), 200))
    .populate('assignee', 'name')
    .lean()
  response.json({ items, next: items.length ? items.at(-1).createdAt : null })
})

app.get('/api/tasks/:id', async (request, response) => {
  const task = await Task.findById(request.params.id).populate('assignee', 'name').lean()
  if (!task || !(await member(task.project, request.user))) return response.status(404).json({ error: 'no such task' })
  response.json(task)
})

app.use((error, request, response, next) => {
  const invalid = error instanceof mongoose.Error.ValidationError || error instanceof mongoose.Error.CastError
  response.status(invalid ? 400 : 500).json({ error: invalid ? error.message : 'internal' })
})

await mongoose.connect(MONGODB_URL, { maxPoolSize: 50, minPoolSize: 10, readConcernLevel: 'majority' })
await Promise.all([User.init(), Project.init(), Task.init()])

// One person, their project and a token, printed for whoever drives the load.
const user = await User.create({ email: `${randomUUID()}@example.com`, name: 'Ada Lovelace' })
const project = await Project.create({ name: 'Benchmark', members: [{ user: user._id, role: 'owner' }] })
const token = jwt.sign({ sub: user.id }, JWT_SECRET, { expiresIn: '12h' })
const server = app.listen(Number(PORT), '127.0.0.1', () => {
  console.log(JSON.stringify({ user: user.id, project: project.id, token }))
})
server.keepAliveTimeout = 75000
process.on('SIGTERM', () => server.close(() => process.exit(0)))
