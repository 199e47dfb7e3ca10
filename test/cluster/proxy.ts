import { readFileSync } from 'node:fs'
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ApiServer } from './apiserver.ts'

/** What stands between a client and the API server in tests of bad networks. */
export interface Proxy {
  /** `127.0.0.1:PORT`, or the path of the Unix socket. */
  readonly address: string
  /** Connections accepted so far. */
  accepted(): number
  /** Forwards nothing any more on the connections that are open, and closes none: the other end has gone without a word. */
  hold(): void
  /** Refuses (closes at once) what comes, and cuts what is open, until `open`. */
  shut(): void
  open(): void
  /** Cuts the connection right after `bytes` bytes beyond the next place where the server says `text`. */
  cutAfter(text: string, bytes: number): void
  close(): Promise<void>
}

/**
 * `tls` of the proxy's own: clients speak plain HTTP/1.1 to it and are the administrator to the API server, as with
 * `kubectl proxy`, so that it sees the frames. Else it forwards bytes it cannot read. `socket`: listens on that path.
 */
export async function startProxy(api: ApiServer, { tls = false, socket = '' } = {}): Promise<Proxy> {
  const pairs = new Set<Pair>()
  let accepted = 0
  let shut = false
  let cut: { text: string; bytes: number } | null = null
  const server = createServer((client) => {
    accepted++
    if (shut) return void client.destroy()
    const upstream = tls ? dialAsAdmin(api) : connectTcp(api.port, '127.0.0.1')
    const pair = { client, upstream, held: false, seen: '' }
    pairs.add(pair)
    join(pair, () => pairs.delete(pair))
    upstream.on('data', (chunk: Buffer) => {
      if (pair.held) return
      const end = cut === null ? -1 : whereToCut(pair, chunk, cut)
      if (end < 0) return void client.write(chunk)
      cut = null
      client.write(chunk.subarray(0, end), () => client.destroy())
    })
    client.on('data', (chunk: Buffer) => pair.held || upstream.write(chunk))
  })
  await listen(server, socket)
  const cutAll = (): void => pairs.forEach(({ client }) => client.destroy())
  const bound = server.address()
  return {
    address: typeof bound === 'string' ? bound : `127.0.0.1:${bound!.port}`,
    accepted: () => accepted,
    hold: () => pairs.forEach((pair) => (pair.held = true)),
    shut: () => {
      shut = true
      cutAll()
    },
    open: () => {
      shut = false
    },
    cutAfter: (text, bytes) => {
      cut = { text, bytes }
    },
    close: async () => {
      cutAll()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Pair {
  readonly client: Socket
  readonly upstream: Socket
  held: boolean
  /** The end of what the server said, for texts that lie across chunks. */
  seen: string
}

function join({ client, upstream }: Pair, onEnd: () => void): void {
  for (const [one, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    one.on('error', () => {})
    one.once('close', () => {
      other.destroy()
      onEnd()
    })
  }
}

/** How much of the chunk still passes; -1: all of it. */
function whereToCut(pair: Pair, chunk: Buffer, cut: { text: string; bytes: number }): number {
  const known = pair.seen
  const text = known + chunk.toString('latin1')
  const at = text.indexOf(cut.text)
  pair.seen = text.slice(-(cut.text.length + cut.bytes))
  if (at < 0) return -1
  const end = at + cut.text.length + cut.bytes - known.length
  return end <= chunk.length && end >= 0 ? end : -1
}

function dialAsAdmin(api: ApiServer): Socket {
  return connectTls({
    ...{ port: api.port, host: '127.0.0.1', ALPNProtocols: ['http/1.1'] },
    ca: readFileSync(api.caFile),
    cert: readFileSync(api.clientCertFile),
    key: readFileSync(api.clientKeyFile),
  })
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    if (path === '') server.listen(0, '127.0.0.1', resolve)
    else server.listen(path, resolve)
  })
}
