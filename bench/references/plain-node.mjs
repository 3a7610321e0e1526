/**
 * What one writes by hand in an hour: `node:http`, JSON.parse, a check of every event, an append-only
 * file with group commit and fdatasync before the answer. The yardstick of `bench/ingest.mjs`.
 *
 * node plain-node.mjs PORT FILE
 */
import fs from 'node:fs'
import http from 'node:http'
import { crc32 } from 'node:zlib'

const [, , port, path] = process.argv
const fd = fs.openSync(path, 'w')
let waiting = []
let answers = []
let busy = false

function flush() {
  busy = true
  const [parts, done] = [waiting, answers]
  waiting = []
  answers = []
  fs.writev(fd, parts, (error) => {
    if (error) throw error
    fs.fdatasync(fd, () => {
      for (const answer of done) answer()
      if (waiting.length > 0) flush()
      else busy = false
    })
  })
}

const isText = (value, max) => typeof value === 'string' && value.length <= max
const isEvent = (event) =>
  event !== null &&
  typeof event === 'object' &&
  isText(event.eventType, 64) &&
  isText(event.browser, 512) &&
  isText(event.timestamp, 40) &&
  !Number.isNaN(Date.parse(event.timestamp)) &&
  isText(event.path, 2048) &&
  isText(event.target, 1024) &&
  typeof event.data === 'object'

http
  .createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      let events
      try {
        events = JSON.parse(body.toString())
      } catch {}
      if (!Array.isArray(events) || !events.every(isEvent)) return response.writeHead(400).end()
      const head = Buffer.allocUnsafe(16)
      head.writeUInt32LE(body.length, 0)
      head.writeUInt32LE(crc32(body), 4)
      head.writeDoubleLE(Date.now(), 8)
      waiting.push(head, body)
      answers.push(() =>
        response
          .writeHead(202, { 'Content-Type': 'application/json' })
          .end(`{"accepted":${events.length}}`),
      )
      if (!busy) flush()
    })
  })
  .listen(Number(port), '127.0.0.1')
