/**
 * Ordinary events, recognised by WebAssembly: three times as fast as the scan in JavaScript.
 *
 * The program (packages/pipeline/wasm/plain-events.ts) only ever says "this one would be accepted, and
 * these are its notes"; what it is not sure of is scanned by scan-event.ts, the specification. A
 * differential test holds every yes to that file. Where the program is missing (a runtime without
 * SIMD) everything is scanned there.
 *
 * The body is copied into the program's memory once; bounds and notes are read from it in place. The
 * tables of keys and limits are filled in from here, so that there is one list of fields.
 */
import { readFileSync } from 'node:fs'
import { DATA_COLUMNS, limits } from '@millrace/protocol'
import { FIELDS, RULES } from './scan-event.ts'

export interface PlainEvents {
  /** Places of the events: event i is [bounds[2i], bounds[2i + 1]). */
  readonly bounds: Int32Array
  readonly notes: Uint8Array
  /** The body whose events are asked about next. False: it is too large. */
  load(bytes: Uint8Array): boolean
  /** How many events from `from` on, event `index` of the batch being the first, are plain. */
  recognise(from: number, index: number): number
}

interface Program {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly recognise: (from: number, index: number, indexMax: number) => number
}

/** Every runtime has it; its types come with those of browsers, which a server does not load. */
const Wasm = (globalThis as unknown as { WebAssembly: WasmNamespace }).WebAssembly
interface WasmNamespace {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: Program }
}

const PROGRAM = new URL('../../wasm/plain-events.wasm', import.meta.url)

// The memory's layout: as in packages/pipeline/wasm/plain-events.ts.
const EVENT_KEYS = 1_024
const DATA_KEYS = 2_048
const NOTES = 4_096
const BOUNDS = 8_192
const BODY = 65_536
const ENTRY_BYTES = 32
/** What is read at once; zeros after the body end every token. */
const STEP_BYTES = 16

/** The rules' numbers in the program; a member whose rule has none is left to the scanner. */
const PROGRAM_RULES = new Map<number, number>([
  [RULES.name, 1],
  [RULES.text, 1],
  [RULES.time, 3],
  [RULES.count, 4],
  [RULES.data, 5],
])
const TEXT_OR_EMPTY = 2
const OPTIONAL = 8
const COLUMN_RULES = { text: 1, coordinate: 2, integer: 3 }

/** Undefined where the program is missing or cannot run. */
export function openPlainEvents(): PlainEvents | undefined {
  let program: Program
  try {
    program = new Wasm.Instance(new Wasm.Module(readFileSync(PROGRAM))).exports
  } catch {
    return undefined
  }
  const { memory, recognise } = program
  const bytes = new Uint8Array(memory.buffer)
  const words = new DataView(memory.buffer)
  for (const [index, field] of FIELDS.entries()) {
    const rule = PROGRAM_RULES.get(field.rule) ?? 0
    const isText = rule === 1 && field.mayBeEmpty
    const flags = field.mayBeNull ? OPTIONAL : 0
    const entry = EVENT_KEYS + (index + 1) * ENTRY_BYTES
    putEntry(bytes, words, entry, field.name, (isText ? TEXT_OR_EMPTY : rule) | flags)
    words.setInt32(entry + 28, field.lengthMax, true)
  }
  for (const [index, [name, { kind }]] of Object.entries(DATA_COLUMNS).entries()) {
    putEntry(bytes, words, DATA_KEYS + (index + 1) * ENTRY_BYTES, name, COLUMN_RULES[kind])
  }
  return {
    bounds: new Int32Array(memory.buffer, BOUNDS, 2 * limits.EVENTS_PER_BATCH_MAX),
    notes: new Uint8Array(memory.buffer, NOTES, limits.EVENTS_PER_BATCH_MAX),
    load: (body) => {
      const end = BODY + body.length
      if (end + STEP_BYTES > bytes.length) return false
      bytes.set(body, BODY)
      bytes.fill(0, end, end + STEP_BYTES)
      return true
    },
    recognise: (from, index) => recognise(from, index, limits.EVENTS_PER_BATCH_MAX),
  }
}

function putEntry(
  bytes: Uint8Array,
  words: DataView,
  entry: number,
  name: string,
  rule: number,
): void {
  const quoted = Buffer.from(`"${name}":`)
  if (quoted.length > STEP_BYTES)
    throw new Error(`the key ${name} does not fit ${STEP_BYTES} bytes`)
  bytes.set(quoted, entry)
  words.setInt32(entry + 16, (1 << quoted.length) - 1, true)
  words.setInt32(entry + 20, quoted.length, true)
  words.setInt32(entry + 24, rule, true)
}
