import * as fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import { contains, mergeCidrs, parseAddress, parseCidr, spanOf } from '../../src/cluster/address.ts'
import { kinds, objectKey } from '../../src/cluster/kind.ts'
import { parseManifest } from '../../src/cluster/manifest.ts'
import { identity } from '../../src/cluster/metadata.ts'
import { Report } from '../../src/cluster/rejection.ts'
import { parseSelector, parseSelectorText } from '../../src/cluster/selector.ts'
import { same } from '../../src/core/same.ts'

/** Any JSON, with the words parsers look for much more often than chance would have them. */
const words = [
  ...['metadata', 'name', 'namespace', 'labels', 'spec', 'status', 'ports', 'port', 'protocol', 'nodePort', 'type'],
  ...['clusterIP', 'clusterIPs', 'externalIPs', 'loadBalancer', 'ingress', 'ip', 'ipMode', 'loadBalancerSourceRanges'],
  ...[
    'sessionAffinity',
    'sessionAffinityConfig',
    'clientIP',
    'timeoutSeconds',
    'addressType',
    'endpoints',
    'addresses',
  ],
  ...['conditions', 'ready', 'serving', 'terminating', 'hints', 'forZones', 'forNodes', 'nodeName', 'zone', 'podCIDRs'],
  ...[
    'podCIDR',
    'taints',
    'key',
    'annotations',
    'containers',
    'initContainers',
    'restartPolicy',
    'containerPort',
    'podIPs',
  ],
  ...[
    'podIP',
    'phase',
    'cidrs',
    'matchLabels',
    'matchExpressions',
    'operator',
    'values',
    '__proto__',
    'constructor',
    'length',
  ],
]
const values = [
  ...[
    'ClusterIP',
    'LoadBalancer',
    'ExternalName',
    'None',
    'TCP',
    'UDP',
    'IPv4',
    'IPv6',
    'FQDN',
    'Local',
    'In',
    'Exists',
  ],
  ...[
    '10.0.0.1',
    '010.0.0.1',
    '127.1',
    '::1',
    '::ffff:1.2.3.4',
    '10.1.2.3/8',
    '10.0.0.0/8',
    'Always',
    'InternalIP',
    'a',
    '',
  ],
]
const leaf = fc.oneof(
  fc.constantFrom<unknown>(...values),
  fc.string(),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constantFrom<unknown>(null, undefined, 'x'.repeat(6000), { toString: 0, valueOf: 0 }), // String() throws of that
)
const { anything } = fc.letrec((tie) => ({
  anything: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    { weight: 3, arbitrary: leaf },
    { weight: 2, arbitrary: fc.array(tie('anything'), { maxLength: 4 }) },
    {
      weight: 5,
      arbitrary: fc.dictionary(fc.oneof(fc.constantFrom(...words), fc.string()), tie('anything'), { maxKeys: 6 }),
    },
  ),
}))

/** An object with a good name, so that the parser gets to its fields. */
const named = fc
  .tuple(
    fc.dictionary(fc.constantFrom(...words), anything, { maxKeys: 8 }),
    fc.dictionary(fc.constantFrom(...words), anything),
  )
  .map(([fields, metadata]) => ({ ...fields, metadata: { ...metadata, name: 'a', namespace: 'b' } }))

t.test('parsers never throw, and their reports are bounded and say what to do', async () => {
  for (const kind of kinds) {
    fc.assert(
      fc.property(fc.oneof(named, anything), (raw) => {
        objectKey(raw, kind.namespaced)
        identity(raw, kind.namespaced)
        const { row, rejections } = kind.parse(raw)
        if (row === null && rejections.length === 0) return false
        if (rejections.length > 51) return false
        return rejections.every((it) => it.problem !== '' && it.remedy !== '' && JSON.stringify(it).length < 1000)
      }),
      { numRuns: 300 },
    )
  }
})

t.test('the same object always gives the same row', async () => {
  for (const kind of kinds) {
    fc.assert(
      fc.property(named, (raw) => same(kind.parse(raw).row, kind.parse(structuredClone(raw)).row)),
      { numRuns: 50 },
    )
  }
})

t.test('selectors never throw', async () => {
  fc.assert(
    fc.property(anything, fc.string(), (raw, text) => {
      parseSelector(raw, 'spec', new Report('x'))
      parseSelectorText(text)
    }),
    { numRuns: 500 },
  )
})

t.test('manifests never throw', async () => {
  const pieces = [
    '---\n',
    'kind: A\n',
    'apiVersion: v1\n',
    '- ',
    '  ',
    '\t',
    '[',
    '{',
    '}',
    '&a ',
    '*a',
    '<<: ',
    ': ',
    '|',
    '>',
    '"',
    "'",
    '#',
    '\n',
    'x',
  ]
  const text = fc
    .array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 3 })), { maxLength: 40 })
    .map((it) => it.join(''))
  fc.assert(
    fc.property(text, (text) => {
      const { objects, problems, broken } = parseManifest(text, 'x')
      return broken ? objects.length === 0 && problems.length > 0 : true
    }),
    { numRuns: 1000 },
  )
})

t.test('addresses: canonical is stable, and equal addresses are equal texts', async () => {
  const v6 = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(
      fc.oneof(
        v6,
        v6.map((groups) => groups.map((it) => (it & 1 ? it : 0))),
      ),
      (groups) => {
        const plain = groups.map((it) => it.toString(16)).join(':')
        const padded = groups.map((it) => it.toString(16).padStart(4, '0').toUpperCase()).join(':')
        const canonical = parseAddress(plain)
        const mapped = groups.slice(0, 5).every((it) => it === 0) && groups[5] === 0xffff
        if (mapped) return canonical === null
        return canonical !== null && parseAddress(padded) === canonical && parseAddress(canonical) === canonical
      },
    ),
    { numRuns: 500 },
  )
})

t.test('merged ranges cover what all of them covered, and no two overlap', async () => {
  const v4 = fc
    .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 12 }))
    .map(([a, bits]) => `${a * 16}.${a * 8}.0.0/${bits}`)
  const v6 = fc
    .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 16 }))
    .map(([a, bits]) => `${(a * 0x1000).toString(16)}::/${bits}`)
  fc.assert(
    fc.property(fc.array(fc.oneof(v4, v6), { maxLength: 12 }), (texts) => {
      const cidrs = texts.map((it) => parseCidr(it)!.cidr)
      const { merged, covered } = mergeCidrs(cidrs)
      const whole = cidrs.every((cidr) => merged.some((outer) => contains(outer, cidr)))
      const apart = merged.every((a) => merged.every((b) => a === b || !contains(a, b)))
      return (
        whole && apart && merged.every((it) => cidrs.includes(it)) && merged.length + covered.length === cidrs.length
      )
    }),
    { numRuns: 500 },
  )
})

t.test('the span of a range is that of its numbers', async (t) => {
  const bytesOf = (text: string): readonly number[] => ipaddr.parse(text).toByteArray()
  const numberOf = (text: string): bigint => bytesOf(text).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
  const address = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.constantFrom('::', '::1', 'fd00::', '1::1:0:0:0:1', '::ffff:0:1.2.3.4', '64:ff9b::1.2.3.4'),
  )
  fc.assert(
    fc.property(address, fc.nat({ max: 128 }), fc.boolean(), (text, length, isRange) => {
      const cidr = isRange ? parseCidr(`${text}/${length}`)?.cidr : parseAddress(text)
      fc.pre(typeof cidr === 'string')
      const [ip = '', bits] = cidr!.split('/')
      const all = ip.includes(':') ? 128 : 32
      const host = (1n << BigInt(all - Number(bits ?? all))) - 1n
      const textOf = (value: bigint): string => `${all === 32 ? 4 : 6}${value.toString(16).padStart(all / 4, '0')}`
      const whole = numberOf(ip)
      return same(spanOf(cidr!), { first: textOf(whole & ~host), last: textOf(whole | host) })
    }),
    { numRuns: 5_000 },
  )
  t.pass()
})
