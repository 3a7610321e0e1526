/**
 * A record that is known to be good: if the engine makes no row of it either, the engine is to blame
 * and not what senders sent.
 */
export function controlLine(tenantNo: number, nowMs: number): Buffer {
  const event = { eventType: 'pointermove', timestamp: nowMs, path: '/', data: { clientX: 1 } }
  const record = {
    o: 0,
    t: tenantNo,
    s: 0,
    r: nowMs,
    q: null,
    b: 'control',
    n: 1,
    f: 0,
    i: null,
    d: {},
    c: {},
    e: [event],
    p: null,
    x: null,
    // The place of the check: it is not read, but the ends of lines are looked at.
    k: '00000000',
  }
  return Buffer.from(`${JSON.stringify(record)}\n`)
}
