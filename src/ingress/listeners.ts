/** Where clients connect: the two listeners of requests, and one for each stream of tcp-services and udp-services. */
import type { ConfigMap } from '../cluster/configmap.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { show } from '../cluster/rejection.ts'
import type { Service } from '../cluster/service.ts'
import { derive, type Read } from '../core/derive.ts'
import type { Key } from '../core/delta.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { clusterOf, type ClusterPlan } from './clusters.ts'
import type { IngressOptions } from './options.ts'
import { HTTP, HTTPS, listenerRow, type ProxyRow } from './rows.ts'
import type { ParsedSettings, Settings } from './settings.ts'

export interface ListenerInputs {
  readonly options: Readable<IngressOptions>
  readonly settings: Readable<ParsedSettings>
  readonly configMaps: Readable<ConfigMap>
  readonly services: Readable<Service>
}

export const deriveListeners = (graph: Graph, { options, settings }: ListenerInputs): Readable<ProxyRow> =>
  derive<ProxyRow, IngressOptions>(graph, {
    name: 'listeners',
    driver: options,
    inputs: [settings],
    rows: (_, told, read) => {
      const said = read.get(settings, '')?.settings
      if (said === undefined) return []
      const { http, https } = said
      const { proxyProtocolTimeoutMs, drainMs } = said
      const proxyProtocol = [...said.proxyProtocol]
      const base = { addresses: [...told.addresses], proxyProtocol, proxyProtocolTimeoutMs, drainMs }
      return [
        listenerRow({ ...base, name: HTTP, port: told.httpPort, serves: { http } }),
        listenerRow({ ...base, name: HTTPS, port: told.httpsPort, serves: { https: { http, ...https } } }),
      ]
    },
  })

/** A row of a stream's ConfigMap. */
export interface Stream {
  readonly row: readonly [Key, ProxyRow] | null
  readonly cluster: ClusterPlan | null
  readonly rejection: Rejection | null
}

/** Keys: `tcp 9000`. */
export const deriveStreams = (graph: Graph, inputs: ListenerInputs): Readable<Stream> =>
  derive<Stream, IngressOptions>(graph, {
    name: 'streams',
    driver: inputs.options,
    inputs: [inputs.settings, inputs.configMaps, inputs.services],
    rows: (_, options, read) => {
      const settings = read.get(inputs.settings, '')?.settings
      if (settings === undefined) return []
      const of = (protocol: 'tcp' | 'udp', path: string | null) => {
        const found = path === null ? undefined : read.get(inputs.configMaps, path)
        return [...(found?.data ?? [])].map(([port, text]): [Key, Stream] => [
          `${protocol} ${port}`,
          streamOf({ protocol, port, text, path: path! }, options, settings, read, inputs.services),
        ])
      }
      return [...of('tcp', options.tcpServices), ...of('udp', options.udpServices)]
    },
  })

interface Line {
  readonly protocol: 'tcp' | 'udp'
  readonly port: string
  readonly text: string
  /** Of the ConfigMap. */
  readonly path: string
}

/** `namespace/name:port`, and `:PROXY` for each side that speaks it: clients, then the backend. */
function streamOf(
  line: Line,
  options: IngressOptions,
  settings: Settings,
  read: Read,
  services: Readable<Service>,
): Stream {
  const { protocol, path, text } = line
  const refuse = (problem: string, remedy: string): Stream => ({
    ...{ row: null, cluster: null },
    rejection: { object: `ConfigMap ${path}`, field: `data[${line.port}]`, problem, remedy },
  })
  const port = /^\d{1,5}$/.test(line.port) ? Number(line.port) : 0
  const taken = protocol === 'tcp' && (port === options.httpPort || port === options.httpsPort)
  if (port < 1 || port > 65_535 || taken)
    return refuse(
      taken ? 'is a port of the ingress itself; not served' : 'is not a port; not served',
      'use a free port from 1 to 65535',
    )
  const match = STREAM.exec(text.trim())
  if (match === null)
    return refuse(
      `is ${show(text)}; not served`,
      'write it like namespace/service:port or namespace/service:port:PROXY',
    )
  const [, namespace = '', name = '', wanted = '', decode = '', encode = ''] = match
  if (protocol === 'udp' && decode + encode !== '')
    return refuse('has PROXY, which UDP has not; not served', 'remove it')
  const backend = { service: name, port: /^\d+$/.test(wanted) ? Number(wanted) : wanted }
  const service = read.get(services, `${namespace}/${name}`)
  const found = clusterOf({ namespace, backend, protocol, special: null }, service, settings, options.zone)
  if ('problem' in found) return refuse(found.problem.replace('requests get 503', 'not served'), found.remedy)
  return relayTo(found, { protocol, port, decodes: decode !== '', encodes: encode !== '' }, options, settings)
}

interface Relay {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
  /** Clients speak the PROXY protocol; and the backend does. */
  readonly decodes: boolean
  readonly encodes: boolean
}

function relayTo(found: ClusterPlan, relay: Relay, options: IngressOptions, settings: Settings): Stream {
  const { protocol, port, decodes, encodes } = relay
  const name = `${protocol} ${found.cluster.name}${encodes ? ' PROXY' : ''}`
  const cluster = { ...found.cluster, name, protocol: 'raw' as const, ...(encodes && { proxyProtocol: 'v1' as const }) }
  const { streamIdleMs: idleMs, streamResponses: responses, proxyProtocolTimeoutMs } = settings
  const relayed = { cluster: name, connectMs: settings.proxying.timeouts.connectMs, idleMs, responses }
  const row = listenerRow({
    name: `${protocol} ${port}`,
    addresses: [...options.addresses],
    port,
    serves: protocol === 'tcp' ? { tcp: relayed } : { udp: relayed },
    proxyProtocol: decodes ? ['0.0.0.0/0', '::/0'] : [],
    proxyProtocolTimeoutMs,
    drainMs: settings.drainMs,
  })
  return { row, cluster: { ...found, cluster }, rejection: null }
}

const STREAM =
  /^([a-z0-9][-a-z0-9]{0,62})\/([a-z0-9][-a-z0-9]{0,62}):(\d{1,5}|[a-z0-9][-a-z0-9]{0,62})(?::(PROXY)?)?(?::(PROXY)?)?$/
