/**
 * The servers that benches send batches to, each as a process of its own: started, measured by its CPU
 * time, stopped. Millrace is started as a user would, with `millrace start`.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { UNLIMITED } from '../../test/support/unlimited.mjs'
import { benthosReference, REFERENCES, rustReference } from './references.mjs'

const MILLRACE = fileURLToPath(new URL('../../packages/pipeline/bin/millrace.js', import.meta.url))

/**
 * @typedef {{ port: number, paths: string[], pid: number, tls?: boolean, data?: string,
 *   credentials?: object, stop(): Promise<void> }} Server
 */

/** @returns {Promise<Server>} */
export async function startMillrace({ work, port = 0, flags = [], env = {}, tenants = 1 }) {
  const data = join(work, 'millrace')
  rmSync(data, { recursive: true, force: true })
  const args = [MILLRACE, 'start', '--data', data, '--port', String(port), '--log-level', 'warn']
  const child = spawn(process.execPath, [...args, ...UNLIMITED, ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  const end = () => child.kill('SIGKILL')
  process.once('exit', end)
  child.once('exit', () => process.off('exit', end))
  const url = await new Promise((resolve, reject) => {
    child.stdout.once('data', (line) => resolve(JSON.parse(String(line).split('\n')[0]).url))
    child.once('exit', () => reject(new Error('millrace did not start')))
  })
  const credentials = JSON.parse(readFileSync(join(data, 'credentials.json'), 'utf8'))
  const keys = await tenantKeys(url, credentials, tenants)
  return {
    ...running(child, Number(new URL(url).port)),
    url,
    data,
    credentials,
    paths: keys.map((key) => `/v1/events?key=${key}`),
  }
}

/** Write keys of the first tenant and of as many more as are asked for. */
async function tenantKeys(url, { clientId, clientSecret, writeKey }, count) {
  if (count === 1) return [writeKey]
  const token = await bearerToken(url, clientId, clientSecret)
  const keys = [writeKey]
  for (let number = 1; number < count; number++) {
    const answer = await fetch(`${url}/v1/tenants`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ tenantId: `tenant_${number}` }),
    })
    if (answer.status !== 201) throw new Error(`POST /v1/tenants: ${await answer.text()}`)
    keys.push((await answer.json()).writeKey)
  }
  return keys
}

export async function bearerToken(url, clientId, clientSecret) {
  const answer = await fetch(`${url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: clientSecret,
    }),
  })
  return (await answer.json()).access_token
}

/** Takes bodies off the socket in pieces and throws them away: the floor. Undefined without nginx. */
export async function startNginx({ work, port = 9461 }) {
  if (spawnSync('nginx', ['-v']).status !== 0) return undefined
  const folder = join(work, 'nginx')
  mkdirSync(folder, { recursive: true })
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ')
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log; events { worker_connections 512; }
http { access_log off; keepalive_requests 100000000; client_max_body_size 2m; client_body_buffer_size 64k; ${temporary}
  server { listen 127.0.0.1:${port}; location / { return 204; } } }`,
  )
  const child = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], {
    stdio: 'ignore',
  })
  return { ...(await answering(child, port)), paths: ['/'] }
}

export async function startPlainNode({ work, port = 9462 }) {
  const program = join(REFERENCES, 'plain-node.mjs')
  const args = [program, String(port), join(work, 'plain.log')]
  const child = spawn(process.execPath, args, { stdio: 'inherit' })
  return { ...(await answering(child, port)), paths: ['/'] }
}

export async function startRust({ work, port = 9464, tenants = 1 }) {
  const program = rustReference()
  if (program === undefined) return undefined
  const keys = Array.from({ length: tenants }, (_, number) => `wk_reference_key_${number}`)
  const child = spawn(program, [String(port), join(work, 'rust.log'), ...keys], {
    stdio: 'inherit',
  })
  return { ...(await answering(child, port)), paths: keys.map((key) => `/v1/events?key=${key}`) }
}

/** `check`: bloblang or schema. */
export async function startBenthos({ work, port = 9465, check }) {
  const program = benthosReference()
  if (program === undefined) return undefined
  const config = join(REFERENCES, 'benthos', `${check}.yaml`)
  const child = spawn(program, ['-c', config], {
    stdio: 'inherit',
    env: { ...process.env, PORT: String(port), FILE: join(work, `benthos-${check}.ndjson`) },
  })
  return { ...(await answering(child, port)), paths: ['/v1/events'] }
}

function running(child, port) {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  return {
    port,
    pid: child.pid,
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

async function answering(child, port) {
  for (let attempt = 0; attempt < 200; attempt++) {
    const isOpen = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true))
      socket.once('error', () => resolve(false))
      socket.unref()
    })
    if (isOpen) return running(child, port)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`nothing listens on ${port}`)
}
