/**
 * A host in a namespace: answers every TCP connection and UDP datagram on the ports it is told with who it is and whom it
 * sees, and sends packets when asked. One process a namespace; JSON lines on stdin and stdout.
 */
import { createSocket, type Socket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { createInterface } from 'node:readline'
import type { ChildProcess } from 'node:child_process'
import type { Protocol } from '../../src/cluster/protocol.ts'
import { start } from '../../src/kernel/exec.ts'
import { answerSctp, sendSctp } from './sctp.ts'
import { within } from './world.ts'

export type Answer =
  | { readonly kind: 'answered'; readonly by: string; readonly seen: string; readonly text?: string }
  | { readonly kind: 'refused' }
  | { readonly kind: 'silent' }

export interface Send {
  readonly protocol: Protocol
  readonly from: string
  readonly to: string
  readonly port: number
  /** Source port; 0: any. */
  readonly fromPort?: number
  /** What a datagram carries: comes back in the answer. */
  readonly text?: string
  /** How long no answer means silence: whoever wants an answer says PATIENCE_MS. */
  readonly waitMs?: number
}

/** What a busy machine never takes to answer. */
export const PATIENCE_MS = 60_000

export interface Port {
  readonly protocol: Protocol
  readonly port: number
}

/** The test's end of a peer. */
export class Peer {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (answer: unknown) => void>()
  #next = 1

  constructor(namespace: string) {
    const command = [...within(namespace), process.execPath, import.meta.filename, 'serve']
    this.#child = start(command as [string, ...string[]], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      const { id, result } = JSON.parse(line) as { id: number; result: unknown }
      this.#waiting.get(id)?.(result)
      this.#waiting.delete(id)
    })
  }

  listen(ports: readonly Port[]): Promise<unknown> {
    return this.#ask({ listen: ports })
  }

  send(send: Send): Promise<Answer> {
    return this.#ask({ send }) as Promise<Answer>
  }

  close(): void {
    this.#child.kill('SIGKILL')
  }

  #ask(message: object): Promise<unknown> {
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, resolve)
      this.#child.once('close', () => reject(new Error('the peer went away')))
      this.#child.stdin!.write(JSON.stringify({ id, ...message }) + '\n')
    })
  }
}

async function serve(): Promise<void> {
  process.stdout.on('error', () => process.exit(0))
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, listen, send } = JSON.parse(line) as {
      id: number
      listen?: Port[]
      send?: Send
    }
    const work = listen ? open(listen) : SENDERS[send!.protocol](send!)
    void work.then((result) => console.log(JSON.stringify({ id, result })))
  }
}

const opened = new Set<string>()

async function open(ports: readonly Port[]): Promise<void> {
  const fresh: Port[] = []
  for (const each of ports) {
    const name = `${each.protocol} ${each.port}`
    if (!opened.has(name)) fresh.push(each)
    opened.add(name)
  }
  const sctp = fresh.filter(({ protocol }) => protocol === 'sctp').map(({ port }) => port)
  await Promise.all([...fresh.map(openPort), answerSctp(sctp, [own('udp4'), own('udp6')])])
}

async function openPort({ protocol, port }: Port): Promise<void> {
  if (protocol === 'sctp') return
  if (protocol === 'tcp') {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.end(JSON.stringify({ by: join(plain(socket.localAddress!), port), seen: plain(socket.remoteAddress!) }))
    })
    await new Promise<void>((resolve) => server.listen({ port, host: '::' }, resolve))
    return
  }
  // One socket a family; a reply leaves from the address that was asked because each peer has one address a family.
  for (const type of ['udp4', 'udp6'] as const) {
    const socket = createSocket({ type, ipv6Only: type === 'udp6' })
    socket.on('message', (message, peer) => {
      const text = message.toString()
      const answer = { by: join(own(type), port), seen: peer.address, ...(text !== '' && { text }) }
      socket.send(JSON.stringify(answer), peer.port, peer.address)
    })
    await new Promise<void>((resolve) => socket.bind(port, resolve))
  }
}

function sendTcp({ from, to, port, fromPort, waitMs }: Send): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = connect({ host: to, port, localAddress: from, ...(fromPort && { localPort: fromPort }) })
    let text = ''
    const done = (answer: Answer): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(waitMs ?? SILENCE_MS, () => done({ kind: 'silent' }))
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.on('end', () => done({ kind: 'answered', ...(JSON.parse(text) as { by: string; seen: string }) }))
    socket.on('error', (error: NodeJS.ErrnoException) =>
      done(error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET' ? { kind: 'refused' } : { kind: 'silent' }),
    )
  })
}

function sendUdp({ from, to, port, fromPort, text, waitMs }: Send): Promise<Answer> {
  return new Promise((resolve) => {
    const socket: Socket = createSocket({ type: to.includes(':') ? 'udp6' : 'udp4' })
    const timer = setTimeout(() => done({ kind: 'silent' }), waitMs ?? SILENCE_MS)
    const done = (answer: Answer): void => {
      clearTimeout(timer)
      socket.close()
      resolve(answer)
    }
    socket.on('error', () => done({ kind: 'refused' }))
    socket.on('message', (message) => {
      done({ kind: 'answered', ...(JSON.parse(message.toString()) as { by: string; seen: string; text?: string }) })
    })
    socket.bind(fromPort ?? 0, from, () => socket.connect(port, to, () => socket.send(text ?? '')))
  })
}

/** A datagram does not tell where it arrived; a peer has one address a family. */
function own(type: 'udp4' | 'udp6'): string {
  const family = type === 'udp4' ? 'IPv4' : 'IPv6'
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  const found = all.find(
    (address) => address.family === family && !address.internal && !address.address.startsWith('fe80'),
  )
  return found?.address ?? 'nobody'
}

const plain = (address: string): string => address.replace(/^::ffff:/, '')
const join = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
const SILENCE_MS = 700
const SENDERS: Readonly<Record<Protocol, (send: Send) => Promise<Answer>>> = {
  tcp: sendTcp,
  udp: sendUdp,
  sctp: (send) => sendSctp(send, SILENCE_MS),
}

if (process.argv[2] === 'serve') await serve()
