import fc from 'fast-check'
import t from 'tap'
import { backend, backendObjects, endpointsOf, ingress } from '../contract/ingress-objects.ts'
import { IngressRoom } from '../contract/ingress-room.ts'
import type { Raw } from '../contract/service-objects.ts'
import { nameOf, Oracle, type Question } from './ingress-oracle.ts'

const HOSTS = ['a.org', 'b.org', 'www.a.org', '*.a.org', '']
const PATHS = ['/', '/', '/x', '/x/', '/x/y', '/X', '/xy', '/x(/|$)(.*)', '/x.', '/(?=no)']
const SERVICES = ['s', 't', 'gone', 'none']
/** What is asked for: hosts that are there, below wildcards, and others; paths around those of rules. */
const ASKED_HOSTS = ['a.org', 'b.org', 'www.a.org', 'x.a.org', 'y.x.a.org', 'www.b.org', 'c.org', 'other.example']
const ASKED_PATHS = ['/', '/x', '/x/', '/x/y', '/x/y/z', '/X', '/xy', '/xyz', '/z', '/x/']

const rule = fc
  .tuple(
    fc.constantFrom('=', '^', '~'),
    fc.constantFrom(...HOSTS),
    fc.constantFrom(...PATHS),
    fc.constantFrom(...SERVICES),
    fc.constantFrom('', ':http', ':81'),
  )
  .map(([type, host, path, service, port]): [string, string] => [`${type}${host}${path}`, `${service}${port}`])
/** Left out in one case of `share`. */
const some = (share: number, name: string, value: fc.Arbitrary<string>) =>
  fc
    .option(value, { nil: undefined, freq: share })
    .map((text): Record<string, string> => (text === undefined ? {} : { [name]: text }))
const annotations = fc
  .tuple(
    fc.oneof(
      { weight: 6, arbitrary: fc.constant<Record<string, string>>({}) },
      ...[
        { 'use-regex': 'true' },
        { 'rewrite-target': '/$2' },
        { 'app-root': '/home' },
        { 'app-root': '/home' },
        { 'permanent-redirect': 'https://new.org/' },
      ].map((it) => ({ weight: 1, arbitrary: fc.constant(it as Record<string, string>) })),
      ...[
        { 'whitelist-source-range': 'nobody' },
        { 'server-alias': 'c.org,b.org' },
        { 'from-to-www-redirect': 'true' },
      ].map((it) => ({ weight: 1, arbitrary: fc.constant(it as Record<string, string>) })),
    ),
    fc.constantFrom<Record<string, string>>({}, {}, { 'ssl-redirect': 'false' }, { 'force-ssl-redirect': 'true' }),
    fc.oneof(
      { weight: 2, arbitrary: fc.constant<Record<string, string>>({}) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(
            some(2, 'canary-by-header', fc.constant('X-Canary')),
            some(2, 'canary-by-cookie', fc.constant('c')),
            some(3, 'canary-weight', fc.constantFrom('0', '25', '100')),
          )
          .map((parts): Record<string, string> => Object.assign({ canary: 'true' }, ...parts)),
      },
    ),
  )
  .map((parts): Record<string, string> => Object.assign({}, ...parts))

const anyIngress = fc
  .record({
    path: fc.constantFrom('n/i', 'n/j', 'm/k', 'm/l'),
    rules: fc.array(rule, { minLength: 1, maxLength: 4 }),
    annotations,
    tls: fc.option(fc.record({ hosts: fc.subarray(['a.org', 'b.org', '*.a.org']) }), { nil: undefined, freq: 2 }),
    created: fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'),
    spare: fc.option(fc.constantFrom(...SERVICES), { nil: undefined, freq: 2 }),
    className: fc.constantFrom('nginx', 'nginx', 'nginx', 'other'),
  })
  .map(({ path, rules, tls, spare, ...rest }) =>
    ingress(path, {
      ...rest,
      paths: Object.fromEntries(rules),
      ...(tls && { tls: [tls] }),
      ...(spare && { spec: { defaultBackend: backend(spare) } }),
    }),
  )
/** As chance seldom has them: one canary and what it is a canary of, with endpoints both. */
const anyPair = fc
  .tuple(rule, fc.constantFrom('25', '25', '100'), fc.boolean())
  .map(([[path], weight, isRegex]): readonly Raw[] => [
    ingress('n/i', { paths: { [path]: 's' }, ...(isRegex && { annotations: { 'use-regex': 'true' } }) }),
    ingress('n/j', { paths: { [path]: 't' }, annotations: { canary: 'true', 'canary-weight': weight } }),
    ...['n/s', 'n/t'].map((name, i) => endpointsOf(name, [{ addresses: [`10.0.0.${i + 1}`], conditions: {} }])),
  ])
const conditions = fc.constantFrom(
  {},
  { ready: true },
  { ready: false },
  { ready: false, serving: true, terminating: true },
)
const anySlice = fc
  .tuple(
    fc.constantFrom('n/s', 'n/t', 'm/s', 'm/t'),
    fc.uniqueArray(fc.tuple(fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3'), conditions), {
      maxLength: 3,
      selector: ([ip]) => ip,
    }),
  )
  .map(([path, list]) =>
    endpointsOf(
      path,
      list.map(([ip, conditions]) => ({ addresses: [ip], conditions })),
    ),
  )
const services = ['n/s', 'n/t', 'm/s', 'm/t', 'n/none', 'm/none'].map((path) => backendObjects(path, [])[0]!)

const QUESTIONS: readonly Question[] = ASKED_HOSTS.flatMap((host) =>
  ASKED_PATHS.flatMap((path) =>
    (['http', 'https'] as const).flatMap((listener) => [
      { listener, host, path },
      { listener, host, path, header: 'always' },
      { listener, host, path, header: 'never', cookie: 'always' },
      { listener, host, path, header: 'what', cookie: 'always' },
      { listener, host, path, cookie: 'never' },
    ]),
  ),
)

t.test('rows answer what the objects say', (t) => {
  const seen = new Map<string, number>()
  fc.assert(
    fc.property(
      fc.array(anyIngress, { minLength: 1, maxLength: 6, size: 'max' }),
      fc.array(anySlice, { minLength: 1, maxLength: 5, size: 'max' }),
      fc.option(anyPair, { nil: [], freq: 2 }),
      (ingresses, slices, pair) => {
        const objects = [
          ...new Map<string, Raw>(
            [...services, ...slices, ...ingresses, ...pair].map((it) => [`${it['kind']} ${nameOf(it)}`, it]),
          ).values(),
        ]
        const room = new IngressRoom({}, objects)
        const oracle = new Oracle(objects)
        for (const question of QUESTIONS) {
          const wanted = oracle.ask(question)
          const { listener, host, path, header, cookie } = question
          const more = { ...(header && { headers: { 'x-canary': header } }), ...(cookie && { cookies: { c: cookie } }) }
          const found = room.ask(`${listener}://${host}${path}`, more)
          if (found !== wanted) throw new Error(`${JSON.stringify(question)}: ${found}, not ${wanted}`)
          const kind = wanted.includes('%') ? 'shared' : wanted.includes(':8080') ? 'forwarded' : wanted.slice(0, 3)
          seen.set(kind, (seen.get(kind) ?? 0) + 1)
        }
      },
    ),
    { numRuns: 150 },
  )
  // Each is seen some ten times as often.
  for (const [kind, least] of Object.entries({
    404: 5_000,
    503: 3_000,
    308: 1_000,
    301: 200,
    forwarded: 300,
    shared: 100,
  }))
    t.ok((seen.get(kind) ?? 0) > least, `${kind}: ${seen.get(kind)}`)
  t.end()
})
