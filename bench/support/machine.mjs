/** What a figure must be read with: the machine, its load, and the CPU time a process has used. */
import { readFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'

export function machineLine() {
  const model = cpus()[0]?.model.trim() ?? 'unknown CPU'
  const load = loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')
  return `${model}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, load ${load}`
}

/** User and system CPU seconds of a process, its threads included, its children not. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

export function median(values) {
  return [...values].sort((left, right) => left - right)[values.length >> 1]
}
