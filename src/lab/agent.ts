/** The shipped agent on a node of the lab: as on a real node, but for the sockets it reads from and tells on. */
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Report } from '../status/report.ts'
import { Kept } from './kept.ts'
import type { LabNode } from './node.ts'
import { CLUSTER_DNS, NODE_LOCAL_DNS } from './dns.ts'
import { apiSocketIn, nodesIn } from './place.ts'
import type { LabOptions } from './outer.ts'
import { CACHE, COMMAND } from './program.ts'

export class Agent {
  readonly node: LabNode
  readonly #socket: string
  readonly #kept: Kept

  /** `onEnd` hears why it ended, for the first times and then less and less often. */
  constructor(node: LabNode, { place, nodeLocalDns }: LabOptions, onEnd: (how: string) => void) {
    this.node = node
    this.#socket = join(nodesIn(place), `${node.plan.name}.status.sock`)
    const sockets = ['--api-server', `unix://${apiSocketIn(place)}`, '--status-socket', this.#socket]
    const agent = [COMMAND, 'agent', '--node', node.plan.name]
    const network = [
      '--nodeport-addresses',
      'primary,localhost',
      '--overlay',
      'vxlan',
      '--cni-conf-dir',
      '/etc/cni/net.d',
      ...(nodeLocalDns ? ['--node-local-dns', [...NODE_LOCAL_DNS, ...CLUSTER_DNS.nameservers].join(',')] : []),
    ]
    const env = { NODE_COMPILE_CACHE: join(CACHE, 'node'), ...process.env }
    const tell = (how: string): void => {
      if (Number.isInteger(Math.log2(this.#kept.restarts))) onEnd(how)
    }
    this.#kept = new Kept([...node.enter, ...agent, ...sockets, ...network], env, node.log, tell)
  }

  /** Waits until all it knows is in the kernel. False: not within that time, or it does not stay up. */
  async settled(maxMs: number): Promise<boolean> {
    const deadlineMs = performance.now() + maxMs
    while (performance.now() < deadlineMs && this.#kept.restarts < RESTARTS_MAX) {
      const report = await this.#report()
      const isFollowing = report?.sources.every(({ state }) => state === 'watching')
      if (isFollowing && report?.targets.every(({ appliedAt, pending }) => appliedAt !== null && pending === 0))
        return true
      await pause(LOOK_MS)
    }
    return false
  }

  /** What it says of itself; null when it does not answer. */
  #report(): Promise<Report | null> {
    return new Promise((resolve) => {
      const asked = request({ socketPath: this.#socket, path: '/statusz', timeout: ANSWER_MAX_MS }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () =>
          resolve(response.statusCode === 200 ? (JSON.parse(Buffer.concat(chunks).toString()) as Report) : null),
        )
      })
      asked.on('timeout', () => asked.destroy(new Error('no answer')))
      asked.on('error', () => resolve(null))
      asked.end()
    })
  }
}

const RESTARTS_MAX = 3
const LOOK_MS = 20
const ANSWER_MAX_MS = 2000
