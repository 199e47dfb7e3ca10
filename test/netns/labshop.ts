/** Clients of the lab's ingress on this machine: one that asks, and a load of them that must not notice what changes. */
import { readFileSync } from 'node:fs'
import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { tree, until, type LabRun } from './labrun.ts'

export interface Answer {
  /** 0: none; the body says why. */
  readonly status: number
  readonly body: string
}

interface Where {
  readonly http: number
  readonly https: number
  readonly ca: string | string[]
}

/** A client that resolves names below localhost as browsers do. */
export class Shop {
  readonly ports: { readonly http: number; readonly https: number }
  readonly ca: string | string[]
  readonly #http = new HttpAgent({ keepAlive: true })
  readonly #https: HttpsAgent

  /** By what the page says that `up` ends on. Throws when it says nothing of the shop. */
  static of(page: string): Shop {
    const where = /^ {2}http:\/\/shop\.localhost:(\d+) {2}https:\/\/shop\.localhost:(\d+) {2}Ingress shop$/m.exec(page)
    const authority = / by (\S+ca\.crt): /.exec(page)
    if (where === null || authority === null) throw new Error(`no shop on the page:\n${page}`)
    return new Shop({ http: Number(where[1]), https: Number(where[2]), ca: readFileSync(authority[1]!, 'utf8') })
  }

  /** `sockets`: so many connections of each scheme at most. */
  constructor({ http, https, ca }: Where, sockets = Infinity) {
    this.ports = { http, https }
    this.ca = ca
    this.#http = new HttpAgent({ keepAlive: true, maxSockets: sockets })
    this.#https = new HttpsAgent({ keepAlive: true, maxSockets: sockets, ca })
  }

  /** A client of its own, with one connection at a time. */
  alone(): Shop {
    return new Shop({ ...this.ports, ca: this.ca }, 1)
  }

  get(scheme: 'http' | 'https', path: string, host = 'shop.localhost'): Promise<Answer> {
    const to = { host: '127.0.0.1', port: this.ports[scheme], path, headers: { host }, timeout: PATIENCE_MS }
    return new Promise((resolve) => {
      const asked =
        scheme === 'http'
          ? httpRequest({ ...to, agent: this.#http })
          : httpsRequest({ ...to, agent: this.#https, servername: host })
      asked.on('response', (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => (body += chunk.toString()))
        response.on('end', () => resolve({ status: response.statusCode!, body }))
        response.on('error', ({ message: why }) => resolve({ status: 0, body: why }))
      })
      asked.on('timeout', () => asked.destroy(new Error(`no answer within ${PATIENCE_MS} ms`)))
      asked.on('error', ({ message: why }) => resolve({ status: 0, body: why }))
      asked.end()
    })
  }

  close(): void {
    this.#http.destroy()
    this.#https.destroy()
  }
}

/** Requests one after the other in each lane, which is a connection, half of them over https, without a pause, until it ends. */
export class Load {
  /** The last body of each lane. */
  readonly last: string[]
  count = 0
  readonly #failed: string[] = []
  readonly #rounds: number[]
  readonly #running: Promise<unknown>
  #path = '/'
  #isOver = false

  constructor(shop: Shop, lanes = 2) {
    this.last = Array(lanes).fill('')
    this.#rounds = Array(lanes).fill(0)
    this.#running = Promise.all(
      this.last.map((_, lane) => this.#run(shop.alone(), lane % 2 === 0 ? 'http' : 'https', lane)),
    )
  }

  /** So far. */
  get failed(): readonly string[] {
    return this.#failed
  }

  /** What went before is answered by then. */
  async retarget(path: string): Promise<void> {
    this.#path = path
    await this.moves()
  }

  /** Each lane has had some answers more. */
  async moves(): Promise<void> {
    const wanted = this.#rounds.map((rounds) => rounds + ROUNDS)
    await until(() => this.#rounds.every((rounds, i) => rounds >= wanted[i]!), 'requests go on')
  }

  /** What failed. */
  async end(): Promise<readonly string[]> {
    this.#isOver = true
    await this.#running
    return this.#failed
  }

  async #run(shop: Shop, scheme: 'http' | 'https', lane: number): Promise<void> {
    while (!this.#isOver) {
      const path = this.#path
      const { status, body } = await shop.get(scheme, path)
      this.count++
      this.#rounds[lane]!++
      this.last[lane] = body
      // What is no longer served is asked for until somebody says otherwise.
      const isGone = status === 404 && path !== '/only'
      if (status !== 200 && !isGone) this.#failed.push(`${scheme} ${path}: ${status} ${body.slice(0, 100)}`)
    }
    shop.close()
  }
}

/** The first process of the lab whose command has all these words, as this machine counts. Throws when there is none. */
export function processOf(lab: LabRun, ...words: readonly string[]): number {
  const pids = [...tree(lab.record.outerPid).pids].map((id) => Number(id.split(' ')[0]))
  // What only starts it has its words, too: the program comes first (of a worker it is /proc/self/exe).
  const found = pids.filter((pid) => {
    const [program = '', ...rest] = commandOf(pid)
    return /(^|\/)(node|fairlead-carrier|exe)$/.test(program) && words.every((word) => rest.includes(word))
  })
  if (found.length === 0) throw new Error(`no process has ${words.join(' ')}`)
  return found[0]!
}

function commandOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return [] // it has ended meanwhile
  }
}

const ROUNDS = 20
const PATIENCE_MS = 60_000
