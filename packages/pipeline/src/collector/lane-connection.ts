/**
 * One connection of the fast lane: its requests, one at a time.
 *
 * A request that its head already refuses (a quota, a key that is not known) has its body counted off
 * and dropped as it comes, and the connection stays good.
 *
 * When more comes than can be done, a connection that has its answer is not read until its turn comes: what
 * it sends next stays in the system's buffers, where it costs this process nothing. A sender that is told
 * 503 is not read for a while either. One that comes at once all the same would be refused all day, and
 * each refusal costs a third of what a batch does: at three times the load nothing would be left for batches.
 *
 * Bounds: one chunk read ahead of the request under way, then the socket is paused; a body of
 * BODY_BYTES_MAX, and all that are being received within the gate's room; the server's own timeouts,
 * looked after once a second; no answer is written before the one before it has left.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Acknowledgement, Problem } from '@millrace/protocol'
import { acceptBatch, acceptHead, type Door } from './accept-batch.ts'
import type { Sender } from './admit.ts'
import { answerTo } from './answer.ts'
import { FAULT, type IngestObserver } from './ingest-route.ts'
import { type HeadFrame, lengthInFrame, readFrame } from './plain-head.ts'
import { SLOW_BODY } from './request-body.ts'
import { readAgain, stopReading } from './unread-socket.ts'

export interface LaneTimeouts {
  /** From the connection to its first byte. */
  readonly firstByteMs: number
  /** From a request's head to the end of its body. */
  readonly bodyMs: number
  /** From an answer to the next request. */
  readonly keepAliveMs: number
  /** From an answer to its last byte's leaving. */
  readonly drainMs: number
}

export interface Lane {
  readonly door: Door
  readonly observer: IngestObserver
  readonly elapsed: () => number
  readonly timeouts: LaneTimeouts
  /** Takes over a connection: `node:http`. */
  readonly ordinary: (socket: Socket) => void
}

/** A head that is longer goes the ordinary way, whose own limit is larger. */
const HEAD_BYTES_MAX = 8_192
/** Less than any `Retry-After`; looked after with the timeouts, so up to a second more. */
const REST_MS = 250
const HEAD_END = Buffer.from('\r\n\r\n')
const GZIP = 0x1f
/** As `node:http` words them. */
const TIMED_OUT = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n'
const CUT_SHORT = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'

/** Nobody's batch can be taken now. (A quota is one sender's own, and its refusals are cheap enough.) */
function isBusy(outcome: Acknowledgement | Problem): boolean {
  return 'code' in outcome && outcome.status === 503
}

export class LaneConnection {
  readonly #lane: Lane
  readonly #socket: Socket
  readonly #onClose: () => void
  /** The last request's head: the next one is most often the same but for its length. */
  #frame: HeadFrame | undefined
  /** A request that is still coming, and how many of the bytes it is waited for are missing. */
  #parts: Buffer[] = []
  #missing = 0
  /** Where the body of the request under way begins, and ends. */
  #bodyStart = 0
  #bodyEnd = 0
  /** Who sends it, as its head says. */
  #sender: Sender | undefined
  /** Why it is not taken: nothing of its body is kept. */
  #refusal: Problem | undefined
  #reservedBytes = 0
  #state: 'new' | 'idle' | 'waiting' | 'head' | 'receiving' | 'dropping' | 'answering' | 'resting' =
    'new'
  /** Bytes that came while a request was under way, or that wait for their turn. */
  #behind: Buffer | undefined
  /** Its turn came before its next request did. */
  #hasWaited = false
  #startedMs: number
  /** Of the request under way, as its head says. */
  #bodyBytes = 0
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
    this.#onClose = () => {
      this.#release()
      left()
    }
    this.#startedMs = lane.elapsed()
    socket.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onError)
    socket.on('close', this.#onClose)
  }

  #receive(chunk: Buffer): void {
    if (this.#state === 'answering' || this.#state === 'waiting') {
      this.#behind = this.#behind === undefined ? chunk : Buffer.concat([this.#behind, chunk])
      this.#socket.pause()
    } else if (this.#state === 'new' || this.#state === 'idle') {
      this.#enter(chunk)
    } else {
      this.#missing -= chunk.length
      if (this.#state !== 'dropping') this.#parts.push(chunk)
      if (this.#missing <= 0) this.#complete(chunk)
    }
  }

  /** `bytes` begin a request; its turn comes now, or later. */
  #enter(bytes: Buffer): void {
    this.#startedMs = this.#lane.elapsed()
    this.#behind = bytes
    this.#state = 'waiting'
    this.#refusal = undefined
    const hasWaited = this.#hasWaited
    this.#hasWaited = false
    const full = this.#lane.door.gate.enter(this, hasWaited)
    if (full === undefined) return
    this.#refusal = full
    this.begin()
  }

  /** Its turn has come. */
  begin(): void {
    const bytes = this.#behind
    this.#behind = undefined
    if (this.#socket.destroyed) return
    this.#state = 'idle'
    if (this.#socket.isPaused()) this.#socket.resume()
    if (bytes === undefined) {
      // It may have ended meanwhile: a stream that is answered within its own event reads on.
      if (this.#isLast) this.#socket.destroySoon()
      readAgain(this.#socket)
      this.#hasWaited = true
      return
    }
    this.#read(bytes)
    if (this.#isLast && this.#isComing()) this.#cutShort()
  }

  /** All that was waited for is there; `last` may hold more than that. */
  #complete(last: Buffer): void {
    if (this.#state === 'dropping') {
      if (this.#missing < 0) this.#keepBehind(last.subarray(last.length + this.#missing))
      this.#state = 'answering'
      this.#answer(this.#refusal!)
      return
    }
    const bytes = Buffer.concat(this.#parts)
    this.#parts = []
    this.#release()
    if (this.#state === 'head') this.#read(bytes)
    else this.#take(bytes)
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
    this.#bodyStart = bodyStart
    this.#bodyEnd = bodyStart + length
    if (bytes.length === bodyStart) {
      this.#await('head', bytes, 1)
      return
    }
    const { door } = this.#lane
    const sender = this.#refusal ?? acceptHead(door, this.#frame!.head, length)
    if (sender !== undefined && !('source' in sender)) {
      this.#refuse(sender, bytes)
      return
    }
    this.#sender = sender
    if (bytes.length >= this.#bodyEnd) this.#take(bytes)
    else this.#receiveRest(bytes, length)
  }

  #receiveRest(bytes: Buffer, length: number): void {
    const full = this.#lane.door.gate.reserve(length)
    if (full !== undefined) {
      this.#refuse(full, bytes)
      return
    }
    this.#reservedBytes = length
    this.#await('receiving', bytes, this.#bodyEnd - bytes.length)
  }

  #await(state: 'head' | 'receiving', bytes: Buffer, missing: number): void {
    this.#parts.push(bytes)
    this.#missing = missing
    this.#state = state
  }

  /** Answers once the body is over, none of which is kept. */
  #refuse(refusal: Problem, bytes: Buffer): void {
    this.#refusal = refusal
    this.#missing = this.#bodyEnd - bytes.length
    this.#state = 'dropping'
    if (this.#missing <= 0) this.#complete(bytes)
  }

  /** `bytes` hold the whole request. */
  #take(bytes: Buffer): void {
    if (bytes.length > this.#bodyEnd) this.#keepBehind(bytes.subarray(this.#bodyEnd))
    this.#state = 'answering'
    const { head } = this.#frame!
    acceptBatch(this.#lane.door, {
      body: bytes.subarray(this.#bodyStart, this.#bodyEnd),
      headers: head.headers,
      writeKey: head.writeKey,
      sourceName: head.sourceName,
      idempotencyKey: head.idempotencyKey,
      sender: this.#sender,
    }).then(this.#onAnswer, this.#onFault)
  }

  #keepBehind(bytes: Buffer): void {
    this.#behind = bytes
    this.#socket.pause()
  }

  #release(): void {
    this.#lane.door.gate.release(this.#reservedBytes)
    this.#reservedBytes = 0
  }

  /** Of the body, if all of the head is there and it is plain; the head is then `#frame`'s. */
  #lengthOf(bytes: Buffer, headEnd: number): number | undefined {
    if (headEnd < 0 || headEnd > HEAD_BYTES_MAX) return undefined
    const text = bytes.toString('latin1', 0, headEnd + 2)
    let length = this.#frame && lengthInFrame(this.#frame, text)
    if (length === undefined) {
      this.#frame = readFrame(text)
      length = this.#frame && lengthInFrame(this.#frame, text)
    }
    this.#bodyBytes = length ?? 0
    return length
  }

  #answer(outcome: Acknowledgement | Problem): void {
    const { observer, elapsed, timeouts } = this.#lane
    const now = elapsed()
    const code = 'code' in outcome ? outcome.code : 'accepted'
    observer.answered(code, now - this.#startedMs, this.#bodyBytes)
    const socket = this.#socket
    if (socket.destroyed) return
    const { text, isAscii } = this.#textOf(outcome, timeouts.keepAliveMs)
    this.#startedMs = now
    this.#state = 'idle'
    const hasLeft = socket.write(text, isAscii ? 'latin1' : 'utf8')
    if (this.#isLast) socket.destroySoon()
    else if (isBusy(outcome)) this.#rest()
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

  #rest(): void {
    this.#state = 'resting'
    this.#socket.pause()
  }

  /** The request that came meanwhile, if one did. */
  #next(): void {
    const bytes = this.#behind
    if (bytes !== undefined) {
      this.#behind = undefined
      this.#enter(bytes)
    } else if (this.#lane.door.gate.enterUnread(this)) {
      this.#state = 'waiting'
      stopReading(this.#socket)
    } else if (this.#socket.isPaused()) {
      this.#socket.resume()
    }
  }

  /** `bytes` are the first that are not understood here. */
  #handOver(bytes: Buffer): void {
    const socket = this.#socket
    socket.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onError)
    socket.off('close', this.#onClose)
    this.#onClose()
    socket.unshift(bytes)
    this.#lane.door.gate.handedOn(socket)
    this.#lane.ordinary(socket)
    socket.resume()
  }

  #ended(): void {
    this.#isLast = true
    if (this.#isComing()) this.#cutShort()
    else if (this.#state !== 'answering' && this.#state !== 'waiting') this.#socket.destroySoon()
  }

  #cutShort(): void {
    this.#socket.write(CUT_SHORT)
    this.#socket.destroySoon()
  }

  finish(): void {
    this.#isLast = true
    const isUnread = this.#state === 'waiting' && this.#behind === undefined
    const isFree = this.#state === 'new' || this.#state === 'idle' || this.#state === 'resting'
    if (isFree || isUnread) this.#socket.destroySoon()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** A request's body is not yet over. */
  #isComing(): boolean {
    return this.#state === 'head' || this.#state === 'receiving' || this.#state === 'dropping'
  }

  closeIfLate(now: number): void {
    const { firstByteMs, bodyMs, keepAliveMs, drainMs } = this.#lane.timeouts
    const sinceMs = now - this.#startedMs
    if (this.#state === 'resting' && this.#socket.writableLength === 0) {
      if (sinceMs < REST_MS) return
      this.#state = 'idle'
      this.#next()
    } else if (this.#state === 'idle' || this.#state === 'resting') {
      const isStuck = sinceMs > drainMs && this.#socket.writableLength > 0
      if (isStuck || sinceMs > keepAliveMs) this.#socket.destroy()
    } else if (
      (this.#state === 'new' && sinceMs > firstByteMs) ||
      (this.#isComing() && (sinceMs > bodyMs || this.#isSlow(sinceMs)))
    ) {
      this.#socket.write(TIMED_OUT)
      this.#socket.destroySoon()
    }
  }

  #isSlow(sinceMs: number): boolean {
    const { graceMs, bytesPerSecondMin } = SLOW_BODY
    const receivedBytes =
      this.#state === 'head' ? 0 : this.#bodyEnd - this.#missing - this.#bodyStart
    return sinceMs > graceMs && receivedBytes < (sinceMs / 1_000) * bytesPerSecondMin
  }
}
