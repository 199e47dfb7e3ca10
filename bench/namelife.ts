/** What happens to names and to who answers them: an endpoint changes, a worker is killed; and what all that takes. */
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { decode, encode, labelsOf, TYPES } from '../test/contract/dns-message.ts'
import { podIP, sliceOf, type Size } from './cluster.ts'
import { processesOf } from './queries.ts'
import { nameOf, type Resolver } from './resolvers.ts'
import type { Served } from './served.ts'

/** One endpoint after the other is replaced: each from the API server's change to the first answer with the new one, in ms. */
export async function changes(to: Resolver, served: Served, size: Size, count: number): Promise<number[]> {
  const times: number[] = []
  for (let round = 0; round < count; round++) {
    const address = `10.120.${serial >> 8}.${serial++ & 255}`
    const at = (serial * 7919) % size.services
    const next = sliceOf(size, at, 4, address)
    const begun = performance.now()
    served.update(next)
    const name = `${address.replaceAll('.', '-')}.${nameOf(at)}`
    await until(to.port, name, (addresses) => addresses[0] === address)
    times.push(performance.now() - begun)
    await wait(PAUSE_MS)
  }
  return times
}

/** The worker is killed again and again: each from kill to answer, in ms. What is asked meanwhile waits in the socket. */
export async function restarts({ port, process: server }: Resolver, size: Size, count: number): Promise<number[]> {
  const times: number[] = []
  for (let round = 0; round < count; round++) {
    // One that dies soon after its start is let wait.
    await wait(LONG_LIFE_MS)
    const [, worker] = processesOf(server.pid!)
    const begun = performance.now()
    process.kill(worker!, 'SIGKILL')
    while (isAlive(worker!)) await wait(0)
    const last = size.services - 1
    await until(port, nameOf(last), (addresses) => addresses.length > 0)
    times.push(performance.now() - begun)
    const at = last * size.endpoints + 1
    await until(port, `${podIP(at).replaceAll('.', '-')}.${nameOf(last)}`, (addresses) => addresses.length > 0)
  }
  return times
}

/** Asks until an answer is as wanted: once a millisecond, or as soon as the last one is answered. */
async function until(port: number, name: string, isWanted: (addresses: readonly string[]) => boolean): Promise<void> {
  const socket = createSocket('udp4')
  const packet = encode(serial & 0xffff, { labels: labelsOf(name), type: TYPES.A })
  const found = Promise.withResolvers<void>()
  socket.on('message', (message) => {
    const addresses = decode(message).answer.flatMap((record) => / A (\S+)$/.exec(record)?.[1] ?? [])
    if (isWanted(addresses)) found.resolve()
  })
  socket.on('error', () => {}) // nobody listens yet
  const asking = setInterval(() => socket.send(packet, port, '127.0.0.1'), 1)
  const limit = setTimeout(() => found.reject(new Error(`no answer for ${name}`)), ANSWER_MAX_MS)
  socket.send(packet, port, '127.0.0.1')
  try {
    await found.promise
  } finally {
    clearInterval(asking)
    clearTimeout(limit)
    socket.close()
  }
}

/** Not when only its parent has not yet heard of its end. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

const PAUSE_MS = 20
const LONG_LIFE_MS = 2_200
const ANSWER_MAX_MS = 60_000
let serial = 0
