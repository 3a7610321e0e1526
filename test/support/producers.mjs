/**
 * Load that survives the death of what it loads: each connection is a producer, which sends its next
 * batch when the one before is acknowledged, and the same one again, under the same id, when not.
 */
import { Agent, request } from 'node:http'
import { batchOf, bodyOf } from './account.mjs'

/** A request that has no answer by then has none: the server was killed or stands still. */
const ANSWER_MS_MAX = 15_000
/** Of batches without an answer one in so many is given up, as by a browser that was closed. */
const GIVEN_UP_ONE_IN = 8
/** Before a batch is sent again after a refusal or a broken connection. */
const AGAIN_MS = 20

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

export class Producers {
  retries = 0
  /** Answers by status; 0 is none. */
  statuses = new Map()
  /** Acknowledgements that said another count than was sent, and what they said. */
  wrongAcknowledgements = []
  #account
  #sequences
  #agent
  #target
  #over = false
  #running

  /**
   * @param {import('./account.mjs').Account} account
   * @param {{ connections: number, pauseMs?: number, events?: number, firstProducer?: number }}
   *   options `pauseMs`: between batches of one producer; `events`: in each batch.
   */
  constructor(account, { connections, pauseMs = 0, events, firstProducer = 1 }) {
    this.#account = account
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections })
    this.#sequences = Array.from({ length: connections }, (_, at) => firstProducer + at)
    this.#running = Promise.all(
      this.#sequences.map((producer) => this.#produce(producer, pauseMs, events)),
    )
  }

  /** @param {{ url: string, writeKey: string } | undefined} target Undefined: nobody is there. */
  aim(target) {
    this.#target = target
  }

  /** Ends when each producer has its last answer. */
  async stop() {
    this.#over = true
    await this.#running
    this.#agent.destroy()
  }

  async #produce(producer, pauseMs, events) {
    let batch
    for (let sequence = 0; !this.#over; ) {
      const target = this.#target
      if (target === undefined) {
        await pause(AGAIN_MS)
        continue
      }
      if (batch === undefined) batch = batchOf(producer, sequence, events)
      else this.retries++
      this.#account.send(batch)
      const { status, body } = await post(target, this.#agent, bodyOf(batch))
      this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
      if (status === 202) {
        this.#judge(batch, body)
        this.#account.acknowledge(batch)
      } else {
        await pause(AGAIN_MS * (1 + Math.random()))
        if (status !== 0 || Math.random() > 1 / GIVEN_UP_ONE_IN) continue
      }
      batch = undefined
      sequence++
      if (pauseMs > 0) await pause(pauseMs * 2 * Math.random())
    }
  }

  #judge(batch, text) {
    const { batchId, accepted, rejected, duplicate } = JSON.parse(text)
    const isRight =
      batchId === batch.id &&
      accepted === batch.count &&
      (duplicate === true || rejected.length === batch.refused)
    if (!isRight) this.wrongAcknowledgements.push(text)
  }
}

/** Status 0: no whole answer came. */
export function post({ url, writeKey }, agent, body) {
  return new Promise((resolve) => {
    const none = () => resolve({ status: 0, headers: {}, body: '' })
    const sent = request(`${url}/v1/events?key=${writeKey}`, {
      agent,
      method: 'POST',
      timeout: ANSWER_MS_MAX,
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
    })
    sent.on('timeout', () => sent.destroy())
    sent.on('error', none)
    sent.on('response', (response) => {
      const parts = []
      response.on('data', (part) => parts.push(part))
      response.on('error', none)
      response.on('close', () => response.complete || none())
      response.on('end', () => {
        const { statusCode: status, headers } = response
        resolve({ status, headers, body: Buffer.concat(parts).toString() })
      })
    })
    sent.end(body)
  })
}
