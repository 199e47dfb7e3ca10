/** Whether all that may be asked answer a challenge: before the server is told to ask. */
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { X509Certificate } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { ChallengePair } from './answers.ts'
import type { Challenge } from './directory.ts'
import type { Replica, Replicas } from './store.ts'

/** null: the replica at this address answers as it should; else what it does instead. */
export type Check = (address: string, challenge: Challenge, pair: ChallengePair | null) => Promise<string | null>

export interface Asked {
  readonly revision: string
  readonly challenges: readonly Challenge[]
  readonly pairs: readonly ChallengePair[]
}

/** null: they do. Waits 10 s for those that live to say so; those that did not, and those that did, are then asked themselves. */
export async function whyNotInPlace(
  { revision, challenges, pairs }: Asked,
  { replicas, check, clock }: { readonly replicas: Replicas; readonly check: Check; readonly clock: Clock },
  signal: AbortSignal,
): Promise<string | null> {
  const end = clock.now() + WAIT_MS
  let live: readonly Replica[]
  for (;;) {
    live = (await replicas.list(signal)).filter(({ isLive }) => isLive)
    if (live.every((replica) => replica.revision === revision) || clock.now() >= end) break
    await clock.after(POLL_MS, signal)
    signal.throwIfAborted()
  }
  for (const { name, address, revision: has } of live) {
    if (address === null) {
      if (has !== revision) return `the controller ${name} has not taken over the answer, and does not say where it is`
      continue
    }
    for (const challenge of challenges.slice(0, CHECKS_MAX)) {
      const pair = pairs.find((found) => found.name === challenge.name) ?? null
      const wrong = await check(address, challenge, pair)
      if (wrong !== null) return `the proxy of ${name} (${address}) does not answer for ${challenge.name}: ${wrong}`
    }
  }
  return null
}

export interface Ports {
  readonly http: number
  readonly https: number
  /** Some clients are required to speak the PROXY protocol: perhaps we are one of them. */
  readonly isProxied: () => boolean
}

/** Asks as the server will. */
export function checkBy({ http, https, isProxied }: Ports): Check {
  return async (host, challenge, pair) => {
    const ask = (head: string): Promise<string | null> =>
      challenge.type === 'http-01'
        ? checkHttp(dial(host, http, head), challenge)
        : challenge.type === 'tls-alpn-01' && pair !== null
          ? checkTls(dial(host, https, head), challenge, pair)
          : Promise.resolve(null)
    const wrong = await ask('')
    return wrong !== null && isProxied() ? ask(PROXY) : wrong
  }
}

function dial(host: string, port: number, head: string): Socket {
  const socket = connect({ host, port, timeout: CHECK_MS })
  socket.on('timeout', () => socket.destroy(new Error('it is silent')))
  if (head !== '') socket.write(head)
  return socket
}

function checkHttp(socket: Socket, { name, token, keyAuthorization }: Challenge): Promise<string | null> {
  return new Promise((resolve) => {
    const path = `/.well-known/acme-challenge/${token}`
    const asked = request({ createConnection: () => socket, path, headers: { host: name } }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (part: string) => {
        text += part
        if (text.length > ANSWER_MAX) asked.destroy(new Error('its answer is too long'))
      })
      answer.on('end', () => {
        const isRight = answer.statusCode === 200 && text.trim() === keyAuthorization
        resolve(isRight ? null : `its answer has status ${answer.statusCode}, and is not that of the account`)
        socket.destroy()
      })
    })
    asked.on('error', (error) => resolve(error.message))
    asked.end()
  })
}

function checkTls(plain: Socket, { name }: Challenge, pair: ChallengePair): Promise<string | null> {
  return new Promise((resolve) => {
    const options = { servername: name, ALPNProtocols: ['acme-tls/1'], rejectUnauthorized: false }
    const socket = connectTls({ ...options, socket: plain }, () => {
      const shown = socket.getPeerX509Certificate()?.fingerprint256
      const isRight = socket.alpnProtocol === 'acme-tls/1' && shown === new X509Certificate(pair.chain).fingerprint256
      resolve(isRight ? null : 'it shows another certificate')
      socket.destroy()
    })
    for (const each of [plain, socket]) each.on('error', ({ message }) => resolve(message))
    socket.on('close', () => resolve('it closes the connection'))
  })
}

/** Version 1, of a connection that says nothing of its client. */
const PROXY = 'PROXY UNKNOWN\r\n'
const WAIT_MS = 10_000
const POLL_MS = 250
const CHECK_MS = 3_000
/** Of one order: enough to see that a replica is told. */
const CHECKS_MAX = 10
const ANSWER_MAX = 4_096
