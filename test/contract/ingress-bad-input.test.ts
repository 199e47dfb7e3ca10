/** What people get wrong in Ingresses: each is told in an Event, in status and as a metric, with object and field; the others serve on. */
import t from 'tap'
import { until } from '../netns/waiting.ts'
import { backendObjects, CLASS, ingress, otherKey, tlsSecret } from './ingress-objects.ts'
import { keys } from './ingress-process.ts'
import { world } from './ingress-world.ts'
import type { Raw } from './service-objects.ts'

t.setTimeout(570_000)

const tls = (host: string) => [{ hosts: [host], secretName: host.replace('.org', '') }]
const mismatched = (): Raw => {
  const pair = tlsSecret('x/mismatched', ['mismatched.org'])
  return { ...pair, data: { ...pair['data'], 'tls.key': Buffer.from(otherKey()).toString('base64') } }
}
const PATH = 'spec.rules[0].http.paths[0]'
const annotation = (name: string): string => `metadata.annotations[nginx.ingress.kubernetes.io/${name}]`
const NOWHERE = 'nowhere.example.org'
const REGEX = { 'use-regex': 'true' }

interface Case {
  readonly about: string
  /** What is there besides the Ingress. */
  readonly objects?: readonly Raw[]
  readonly given: Parameters<typeof ingress>[1]
  readonly field: string
  readonly says: RegExp
}

/** By name of the Ingress, and of its host. */
const CASES: Readonly<Record<string, Case>> = {
  value: {
    about: 'a value that an annotation does not have',
    given: { annotations: { 'backend-protocol': 'SMTP' } },
    field: annotation('backend-protocol'),
    says: /is "SMTP"; all its routes answer 503/,
  },
  broken: {
    about: 'a regex that does not compile',
    given: { paths: { '~broken.org/a(': 'a' }, annotations: REGEX },
    field: `${PATH}.path`,
    says: /does not compile/,
  },
  explodes: {
    about: 'a regex that only an engine of exponential time runs',
    given: { paths: { '~explodes.org/(a+)+(?=b)': 'a' }, annotations: REGEX },
    field: `${PATH}.path`,
    says: /look-around/,
  },
  missing: {
    about: 'a Secret that is not there',
    given: { tls: tls('missing.org') },
    field: 'spec.tls[0].secretName',
    says: /x\/missing, which does not exist/,
  },
  expired: {
    about: 'a certificate that has expired',
    objects: [tlsSecret('x/expired', ['expired.org'], new Date('2026-01-02'))],
    given: { tls: tls('expired.org') },
    field: 'spec.tls[0].secretName',
    says: /expired on 2026-01-02/,
  },
  mismatched: {
    about: 'a key of another certificate',
    objects: [mismatched()],
    given: { tls: tls('mismatched.org') },
    field: 'spec.tls[0].secretName',
    says: /tls\.key that is not that of its tls\.crt/,
  },
  thief: {
    about: 'a path that another Ingress has',
    given: { paths: { 'good.org/': 'a' } },
    field: PATH,
    // The API server says when each was created, perhaps in one second: then the name decides.
    says: /claims the path \/ of good\.org, which Ingress x\/good, which (is older|comes first by name), has/,
  },
  empty: {
    about: 'a Service without endpoints',
    objects: backendObjects('x/empty', [], { clusterIP: undefined }),
    given: { paths: { 'empty.org/': 'empty' } },
    field: `${PATH}.backend`,
    says: /x\/empty, which has no endpoint that is ready; requests get 503/,
  },
  absent: {
    about: 'a Service that is not there',
    given: { paths: { 'absent.org/': 'nowhere' } },
    field: `${PATH}.backend`,
    says: /x\/nowhere.*does not exist/,
  },
  unresolved: {
    about: 'a Service whose name is nowhere',
    objects: backendObjects('x/outer', [], { clusterIP: undefined, type: 'ExternalName', externalName: NOWHERE }).slice(
      0,
      1,
    ),
    given: { paths: { 'unresolved.org/': 'outer' } },
    field: `${PATH}.backend`,
    says: /x\/outer, whose externalName nowhere\.example\.org cannot be looked up: nxdomain; .* or get 503/,
  },
  bucket: {
    about: 'a backend that is no Service',
    given: {
      spec: {
        rules: [
          {
            host: 'bucket.org',
            http: {
              paths: [{ path: '/', pathType: 'Prefix', backend: { resource: { kind: 'Bucket', name: 'b' } } }],
            },
          },
        ],
      },
    },
    field: `${PATH}.backend.resource`,
    says: /is not supported; requests get 503/,
  },
  megabyte: {
    about: 'an Ingress of a megabyte',
    given: {
      paths: Object.fromEntries(Array.from({ length: 7_000 }, (_, i) => [`megabyte.org/${'p'.repeat(60)}${i}`, 'a'])),
    },
    field: 'spec.rules[0].http.paths',
    says: /has 7000 items; only the first 1000 are used/,
  },
}

t.test('bad input', async (t) => {
  const { carrier, call, apply, start } = await world(t)
  await apply(
    ...[CLASS, ...backendObjects('x/a', ['10.0.0.1']), tlsSecret('x/good', ['good.org'])],
    ingress('x/good', { paths: { 'good.org/': 'a' }, tls: tls('good.org') }),
  )
  carrier.stats = { worker: { says: { failingNames: { [NOWHERE]: 'nxdomain' } } } }
  const controller = start()
  await until('ready', async () => (await controller.ask('/readyz'))[0] === 200)
  const good = (): object => {
    const all = ['proxy', 'secrets'].flatMap((table) =>
      keys(carrier, table)
        .filter((key) => /good|x\/a:80/.test(key))
        .map((key) => [key, carrier.tables.get(table)!.rows.get(key)]),
    )
    return Object.fromEntries(all) as object
  }
  let before: object = {}
  await until('what is right is served', () => {
    before = good()
    return Object.keys(before).length >= 6 && JSON.stringify(before).includes('"certificate":"pair x/good"')
  })

  for (const [name, { objects = [], given = {} }] of Object.entries(CASES)) {
    const whole = { paths: { [`${name}.org/`]: 'a' }, ...given }
    await apply(...objects, ingress(`x/${name}`, whole))
  }
  const size = JSON.stringify(ingress('x/megabyte', CASES['megabyte']!.given)).length
  t.ok(size > 1_000_000, `${size} characters`)
  const events = async (): Promise<Raw[]> => (await call('GET', '/api/v1/namespaces/x/events'))['items']
  for (const [name, { about, field, says }] of Object.entries(CASES))
    await t.test(about, async (t) => {
      const object = `Ingress x/${name}`
      await until('an Event', async () =>
        (await events()).some(
          ({ involvedObject, message, type }) =>
            involvedObject.name === name &&
            String(message).startsWith(`${field}: `) &&
            says.test(message) &&
            type === 'Warning',
        ),
      )
      const { rejections } = JSON.parse((await controller.ask('/statusz'))[1]) as Raw
      const told = (rejections.first as Raw[]).find((each) => each['object'] === object && each['field'] === field)
      t.match(told, { problem: says, remedy: /\w/ })
      const line = `fairlead_rejected{object="${object}",field="${field}"} 1`
      t.ok((await controller.ask('/metrics'))[1].split('\n').includes(line), line)
    })
  const cases = Object.keys(CASES).length
  const counted = Number(/^fairlead_rejections (\d+)$/m.exec((await controller.ask('/metrics'))[1])?.[1])
  t.ok(counted >= cases, `${counted} are counted`)
  t.same(good(), before, 'what was right is as it was')
  t.match(carrier.tables.get('proxy')?.rows.get('sni missing.org'), {
    shows: { certificate: { certificate: 'pair default' } },
  })
  t.equal(carrier.problem, null)

  carrier.stats = { worker: { says: { failingNames: {} } } }
  const told = async (): Promise<string> => (await controller.ask('/metrics'))[1]
  await until('a name that is found again', async () => !(await told()).includes('Ingress x/unresolved'))
  t.match(await told(), 'Ingress x/absent', 'and what is wrong still, is told')
  await call('DELETE', '/apis/networking.k8s.io/v1/namespaces/x/ingresses/good')
  await until('the next one has the path', () =>
    JSON.stringify(carrier.tables.get('proxy')?.rows.get('route good.org Prefix / 0'))?.includes('"ingress":"thief"'),
  )
})
