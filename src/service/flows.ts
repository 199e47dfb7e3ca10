import { expand } from '../core/expand.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import type { Opened } from './frontends.ts'
import type { Packed } from './members.ts'
import type { Frontend, FrontendAddress } from './rows.ts'

/** Where flows to a frontend may go on to. */
export interface Flows {
  readonly at: FrontendAddress
  readonly scope: Frontend['scope']
  /** Whoever begins one now gets to an endpoint. */
  readonly serves: boolean
  /**
   * Of UDP: all serving endpoints of the ServicePort in this family, wherever they are. As in kube-proxy
   * (pkg/proxy/conntrack/cleanup.go), traffic policy, topology and termination decide about new flows only: those that are
   * there go on, as connections do. null: TCP, whose connections end by themselves.
   */
  readonly endpoints: Packed | null
}

/** By frontendKey, UDP and TCP. */
export function deriveFlows(graph: Graph, opened: Readable<Opened>): Readable<Flows> {
  return expand<Flows, Opened>(graph, {
    name: 'service flows',
    driver: opened,
    owner: (key) => key,
    rows: (key, { at, frontend, serving }) => {
      const serves = frontend.slots > 0 || (frontend.local ?? 0) > 0
      return at.protocol === 'sctp' ? [] : [[key, { at, scope: frontend.scope, serves, endpoints: serving }]]
    },
  })
}
