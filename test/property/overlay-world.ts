import fc from 'fast-check'
import { node, type Raw } from '../contract/service-objects.ts'

/** Few values, so that nodes want the same, nest and overlap. */
const name = fc.constantFrom('n1', 'n1', 'n2', 'n3', 'n4')
const numbers = [1, 2, 3, 4, 5, 6, 7, 8]
const cidr = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...numbers.map((n) => `10.244.${n}.0/24`)) },
  { weight: 3, arbitrary: fc.constantFrom(...numbers.map((n) => `fd00:10:244:${n}::/64`)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('10.244.2.0/23', 'fd00:10:244::/61', '10.96.1.0/24', '172.30.0.0/24', 'junk'),
  },
)
const ip = fc.constantFrom(...numbers.flatMap((n) => [`172.30.0.1${n}`, `fd00:172:30::1${n}`]), '127.0.0.1')
const annotation = fc.constantFrom<[string, string]>(
  ['backend-data', '{"VNI":1,"VtepMAC":"aa:bb:cc:00:00:02"}'],
  ['backend-data', '{"VNI":7,"VtepMAC":"aa:bb:cc:00:00:03"}'],
  ['backend-v6-data', 'null'],
  ['backend-v6-data', '{'],
  ['backend-type', 'host-gw'],
  ['backend-type', 'vxlan'],
  ['public-ip', '172.30.0.13'],
  ['public-ip-overwrite', '203.0.113.7'],
  ['public-ipv6', 'nonsense'],
)
const anyNode = fc
  .record({
    name,
    ips: fc.uniqueArray(ip, { maxLength: 3 }),
    cidrs: fc.uniqueArray(cidr, { maxLength: 3 }),
    annotations: fc.array(annotation, { maxLength: 3 }),
    born: fc.integer({ min: 2020, max: 2023 }),
  })
  .map(({ name, ips, cidrs, annotations, born }): Raw => {
    const made = node(name, ips, cidrs, null)
    const written = annotations.map(([key, value]) => [`flannel.alpha.coreos.com/${key}`, value])
    const metadata = { name, creationTimestamp: `${born}-01-01T00:00:00Z`, annotations: Object.fromEntries(written) }
    return { ...made, metadata }
  })
const anyRange = fc.constantFrom('10.96.0.0/16', '10.244.2.0/25').map((range): Raw => ({
  ...{ apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR' },
  ...{ metadata: { name: `r${range.length}` }, spec: { cidrs: [range] } },
}))
const anyObject = fc.oneof({ weight: 6, arbitrary: anyNode }, { weight: 1, arbitrary: anyRange })
export const interfaces = fc.subarray(
  numbers.flatMap((n) => [
    { ip: `172.30.0.1${n}`, interface: `eth${n % 2}`, prefixLength: 24 + (n % 2) * 8, mtu: 1500 - n },
    { ip: `fd00:172:30::1${n}`, interface: 'eth0', prefixLength: 64, mtu: 1400 - n },
  ]),
  { minLength: 12 },
)
/** What happens to a cluster, and to the node n1 in it. */
export const step = fc.oneof(
  { weight: 8, arbitrary: anyObject.map((object) => ({ do: 'put' as const, object })) },
  { weight: 3, arbitrary: anyObject.map((object) => ({ do: 'drop' as const, object })) },
  { weight: 1, arbitrary: interfaces.map((list) => ({ do: 'interfaces' as const, list })) },
)
export const keyOf = ({ kind, metadata }: Raw): string => `${kind} ${metadata.name}`
