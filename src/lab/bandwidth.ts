/** How fast a pod may receive and send, as its annotations say and as containerd hands it to the CNI plugin bandwidth. */

/** Rates in bits a second, bursts in bits (CNI conventions: dynamic plugin specific fields). */
export interface Bandwidth {
  readonly ingressRate?: number
  readonly ingressBurst?: number
  readonly egressRate?: number
  readonly egressBurst?: number
}

export type BandwidthAnswer =
  | { readonly kind: 'done'; readonly bandwidth: Bandwidth | undefined }
  | { readonly kind: 'failed'; readonly reason: string }

export function bandwidthOf(annotations: Readonly<Record<string, string>> = {}): BandwidthAnswer {
  const [ingress, egress] = [read(annotations, INGRESS), read(annotations, EGRESS)]
  if (typeof ingress === 'string') return { kind: 'failed', reason: ingress }
  if (typeof egress === 'string') return { kind: 'failed', reason: egress }
  if (ingress === null && egress === null) return { kind: 'done', bandwidth: undefined }
  const bandwidth = {
    ...(ingress !== null && { ingressRate: ingress, ingressBurst: BURST_BITS }),
    ...(egress !== null && { egressRate: egress, egressBurst: BURST_BITS }),
  }
  return { kind: 'done', bandwidth }
}

/** null: not said. A text: why it cannot be used (Kubernetes: pkg/util/bandwidth/utils.go). */
function read(annotations: Readonly<Record<string, string>>, name: string): number | string | null {
  const text = annotations[name]
  if (text === undefined) return null
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)(k|[KMGTP]i|[MGTP]|)$/.exec(text) ?? []
  const rate = digits === undefined ? NaN : Math.ceil(Number(digits) * UNITS[unit]!)
  if (rate >= RATE_MIN && rate <= RATE_MAX) return rate
  return `annotation ${name} is ${JSON.stringify(text.slice(0, 80))}, not from 1k to 1P bits a second such as 10M`
}

const INGRESS = 'kubernetes.io/ingress-bandwidth'
const EGRESS = 'kubernetes.io/egress-bandwidth'
const [RATE_MIN, RATE_MAX] = [1e3, 1e15]
/** Of containerd (math.MaxUint32): what comes after a rest is hardly held back. */
const BURST_BITS = 2 ** 32 - 1
const UNITS: Readonly<Record<string, number>> = {
  ...{ '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50 },
}
