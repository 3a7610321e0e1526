/**
 * Leaves what a sender sends in the system's buffers, and the sender to TCP.
 *
 * `pause()` is not enough: a paused socket reads once more, 64 KiB at most, and keeps it. With thousands of
 * connections that wait, that is hundreds of megabytes, which V8 marks again and again. Node has no public
 * call for less; `_handle` is what `net` itself uses. Where it is not as expected, nothing is stopped,
 * and the connection reads ahead what its own bounds allow. So it does when it is stopped within its own 'data'
 * event, after which a stream reads on.
 */
import type { Socket } from 'node:net'

interface Reading {
  reading: boolean
  readStart(): void
  readStop(): void
}

export function stopReading(socket: Socket): void {
  const handle = handleOf(socket)
  if (handle?.reading !== true) return
  handle.reading = false
  handle.readStop()
}

export function readAgain(socket: Socket): void {
  const handle = handleOf(socket)
  if (handle?.reading !== false) return
  handle.reading = true
  handle.readStart()
}

/** None once the socket is closed. */
function handleOf(socket: Socket): Reading | null | undefined {
  return (socket as Socket & { readonly _handle?: Reading | null })._handle
}
