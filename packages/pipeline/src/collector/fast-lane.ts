/**
 * The short way for ordinary batches: straight from the socket to `acceptBatch`.
 *
 * Half of what a small batch costs on `node:http` is HTTP itself. A connection begins here; as long as
 * each request's head comes in one piece and is of the one shape that plain-head.ts recognises, its
 * requests are read and answered here, one at a time. The first that is not goes to `node:http` with
 * the connection, unread, for good. What is answered here is answered as ingest-route.ts would; a
 * differential test over sockets holds that.
 *
 * Bounds: one chunk read ahead of the request under way, then the socket is paused; a body of
 * BODY_BYTES_MAX; the server's own timeouts, looked after once a second; no answer is written before
 * the one before it has left.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Acknowledgement, Problem } from '@millrace/protocol'
import { acceptBatch, type Door } from './accept-batch.ts'
import { answerTo } from './answer.ts'
import { FAULT, type IngestObserver } from './ingest-route.ts'
import { type HeadFrame, lengthInFrame, readFrame } from './plain-head.ts'

export interface LaneTimeouts {
  /** From the connection to its first byte. */
  readonly firstByteMs: number
  /** From a request's head to the end of its body. */
  readonly bodyMs: number
  /** From an answer to the next request. */
  readonly keepAliveMs: number
}

interface Lane {
  readonly door: Door
  readonly observer: IngestObserver
  readonly elapsed: () => number
  readonly timeouts: LaneTimeouts
  /** Takes over a connection: `node:http`. */
  readonly ordinary: (socket: Socket) => void
}

/** A head that is longer goes the ordinary way, whose own limit is larger. */
const HEAD_BYTES_MAX = 8_192
const CHECK_EVERY_MS = 1_000
const HEAD_END = Buffer.from('\r\n\r\n')
const GZIP = 0x1f
/** As `node:http` words them. */
const TIMED_OUT = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n'
const CUT_SHORT = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'

/** Every connection of a server that has not been given to `node:http`. */
export class FastLane {
  readonly #lane: Lane
  readonly #connections = new Set<Connection>()
  readonly #timer: NodeJS.Timeout

  constructor(lane: Lane) {
    this.#lane = lane
    this.#timer = setInterval(() => this.#closeLate(), CHECK_EVERY_MS).unref()
  }

  take(socket: Socket): void {
    const connection = new Connection(this.#lane, socket, () => {
      this.#connections.delete(connection)
    })
    this.#connections.add(connection)
  }

  /** Closes what is idle; what is under way is answered first. */
  close(): void {
    for (const connection of this.#connections) connection.finish()
  }

  /** Closes everything now. */
  destroy(): void {
    clearInterval(this.#timer)
    for (const connection of this.#connections) connection.destroy()
  }

  #closeLate(): void {
    const now = this.#lane.elapsed()
    for (const connection of this.#connections) connection.closeIfLate(now)
  }
}

class Connection {
  readonly #lane: Lane
  readonly #socket: Socket
  readonly #left: () => void
  /** The last request's head: the next one is most often the same but for its length. */
  #frame: HeadFrame | undefined
  /** A request whose body is still coming, and how many of its bytes are missing. */
  #parts: Buffer[] = []
  #missing = 0
  #state: 'new' | 'idle' | 'receiving' | 'answering' = 'new'
  /** Bytes that came while a request was under way. */
  #behind: Buffer | undefined
  #startedMs: number
  /** No request after the one under way. */
  #isLast = false
  readonly #onData = (chunk: Buffer) => this.#receive(chunk)
  readonly #onEnd = () => this.#ended()
  readonly #onError = () => this.#socket.destroy()
  readonly #onAnswer = (outcome: Acknowledgement | Problem) => this.#answer(outcome)
  readonly #onFault = (error: unknown) => {
    this.#lane.observer.failed(error)
    this.#answer(FAULT)
  }

  constructor(lane: Lane, socket: Socket, left: () => void) {
    this.#lane = lane
    this.#socket = socket
    this.#left = left
    this.#startedMs = lane.elapsed()
    socket.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onError)
    socket.on('close', left)
  }

  #receive(chunk: Buffer): void {
    if (this.#state === 'answering') {
      this.#behind = this.#behind === undefined ? chunk : Buffer.concat([this.#behind, chunk])
      this.#socket.pause()
    } else if (this.#state === 'receiving') {
      this.#parts.push(chunk)
      this.#missing -= chunk.length
      if (this.#missing > 0) return
      const bytes = Buffer.concat(this.#parts)
      this.#parts = []
      this.#read(bytes)
    } else {
      this.#startedMs = this.#lane.elapsed()
      this.#read(chunk)
    }
  }

  /** `bytes` begin with a request's head. */
  #read(bytes: Buffer): void {
    const headEnd = bytes.indexOf(HEAD_END)
    const length = this.#lengthOf(bytes, headEnd)
    const bodyStart = headEnd + HEAD_END.length
    // A compressed body may come without saying so, and only the ordinary way unpacks.
    if (length === undefined || bytes[bodyStart] === GZIP) {
      this.#handOver(bytes)
      return
    }
    const bodyEnd = bodyStart + length
    if (bytes.length < bodyEnd) {
      this.#parts.push(bytes)
      this.#missing = bodyEnd - bytes.length
      this.#state = 'receiving'
      return
    }
    if (bytes.length > bodyEnd) {
      this.#behind = bytes.subarray(bodyEnd)
      this.#socket.pause()
    }
    this.#state = 'answering'
    const { head } = this.#frame!
    acceptBatch(this.#lane.door, {
      body: bytes.subarray(bodyStart, bodyEnd),
      headers: head.headers,
      writeKey: head.writeKey,
      sourceName: head.sourceName,
      idempotencyKey: head.idempotencyKey,
    }).then(this.#onAnswer, this.#onFault)
  }

  /** Of the body, if all of the head is there and it is plain; the head is then `#frame`'s. */
  #lengthOf(bytes: Buffer, headEnd: number): number | undefined {
    if (headEnd < 0 || headEnd > HEAD_BYTES_MAX) return undefined
    const text = bytes.toString('latin1', 0, headEnd + 2)
    const known = this.#frame && lengthInFrame(this.#frame, text)
    if (known !== undefined) return known
    this.#frame = readFrame(text)
    return this.#frame && lengthInFrame(this.#frame, text)
  }

  #answer(outcome: Acknowledgement | Problem): void {
    const { observer, elapsed, timeouts } = this.#lane
    const now = elapsed()
    observer.answered('code' in outcome ? outcome.code : 'accepted', now - this.#startedMs)
    const socket = this.#socket
    if (socket.destroyed) return
    const { text, isAscii } = this.#textOf(outcome, timeouts.keepAliveMs)
    this.#startedMs = now
    this.#state = 'idle'
    const hasLeft = socket.write(text, isAscii ? 'latin1' : 'utf8')
    if (this.#isLast) socket.destroySoon()
    else if (hasLeft) this.#next()
    else socket.once('drain', () => this.#next()).pause()
  }

  #textOf(outcome: Acknowledgement | Problem, keepAliveMs: number) {
    const { status, headers, text } = answerTo(outcome, this.#frame!.head.headers.origin)
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`
    for (let at = 0; at < headers.length; at += 2) head += `${headers[at]}: ${headers[at + 1]}\r\n`
    head += this.#isLast
      ? 'Connection: close\r\n\r\n'
      : `Connection: keep-alive\r\nKeep-Alive: timeout=${keepAliveMs / 1000}\r\n\r\n`
    return { text: head + text, isAscii: headers[3] === String(text.length) }
  }

  /** The request that came meanwhile, if one did. */
  #next(): void {
    const bytes = this.#behind
    if (bytes === undefined) {
      if (this.#socket.isPaused()) this.#socket.resume()
      return
    }
    this.#behind = undefined
    this.#startedMs = this.#lane.elapsed()
    this.#read(bytes)
    if (this.#behind === undefined) this.#socket.resume()
  }

  /** `bytes` are the first that are not understood here. */
  #handOver(bytes: Buffer): void {
    const socket = this.#socket
    socket.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onError)
    socket.off('close', this.#left)
    this.#left()
    socket.unshift(bytes)
    this.#lane.ordinary(socket)
    socket.resume()
  }

  #ended(): void {
    this.#isLast = true
    if (this.#state === 'receiving') this.#socket.write(CUT_SHORT)
    if (this.#state !== 'answering') this.#socket.destroySoon()
  }

  finish(): void {
    this.#isLast = true
    if (this.#state === 'new' || this.#state === 'idle') this.#socket.destroySoon()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  closeIfLate(now: number): void {
    const { firstByteMs, bodyMs, keepAliveMs } = this.#lane.timeouts
    const sinceMs = now - this.#startedMs
    if (this.#state === 'idle' && sinceMs > keepAliveMs) this.#socket.destroy()
    if (
      (this.#state === 'new' && sinceMs > firstByteMs) ||
      (this.#state === 'receiving' && sinceMs > bodyMs)
    ) {
      this.#socket.write(TIMED_OUT)
      this.#socket.destroySoon()
    }
  }
}
