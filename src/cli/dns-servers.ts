/** Where `fairlead dns` answers questions about itself: in the lab by the sockets of its pods, elsewhere by an address. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { dnsIn } from '../lab/place.ts'
import { Failure } from './failure.ts'
import { Api, findLab, type Question } from './lab-client.ts'

export interface DnsServer {
  /** Of its pod, or the address. */
  readonly name: string
  readonly api: Api
}

/** Throws a Failure when there is no cluster. Whether they answer is found out by whoever asks. */
export async function serversOf(address: string | undefined): Promise<readonly DnsServer[]> {
  if (address !== undefined) return [{ name: address, api: apiAt(address, '--address') }]
  const { record, place } = findLab()
  const folder = dnsIn(place)
  const pods = await new Api({ socketPath: record.apiSocket }).must<{ items: Pod[] }>({
    path: '/api/v1/namespaces/kube-system/pods',
    query: { labelSelector: 'k8s-app=kube-dns' },
  })
  return pods.items.flatMap(({ metadata: { name }, status }) => {
    const path = join(folder, `${status?.podIP}.sock`)
    return existsSync(path) ? [{ name, api: new Api({ socketPath: path }) }] : []
  })
}

/** The first that answers. Throws a Failure with what it says is wrong, or when none answers. */
export async function askServer<Body>(servers: readonly DnsServer[], question: Question): Promise<[DnsServer, Body]> {
  let why = 'no pod of it runs (yet): see fairlead get pods -n kube-system'
  for (const server of servers) {
    try {
      const { code, body } = await server.api.ask(question)
      if (code === 200) return [server, body as Body]
      const { message } = body as { message?: unknown }
      why = `${server.name}: ${typeof message === 'string' ? message : `it answered ${code}`}`
      if (code < 500) break // the question is wrong, whoever is asked
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      why = `${server.name} does not answer: is it \`fairlead dns\`?`
    }
  }
  throw new Failure(`the DNS cannot be asked: ${why}`)
}

/** `host:port` or the path of a socket. */
export function apiAt(address: string, option: string): Api {
  if (address.startsWith('/')) return new Api({ socketPath: address })
  const match = /^(.*):(\d+)$/.exec(address)
  if (!match) throw new Failure(`${option} ${address}: expected /path or host:port`, 2)
  return new Api({ host: match[1]!.replace(/^\[|\]$/g, ''), port: Number(match[2]) })
}

interface Pod {
  readonly metadata: { readonly name: string }
  readonly status?: { readonly podIP?: string }
}
