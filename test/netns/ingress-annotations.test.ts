/** Every annotation with a request that shows it: the shipped controller and carrier, and the fake where it can say. */
import t, { type Test } from 'tap'
import { parseAccess } from '../../src/ingress/annotations/access.ts'
import { parseAnswering } from '../../src/ingress/annotations/answering.ts'
import { parseCanary } from '../../src/ingress/annotations/canary.ts'
import { parseProxying } from '../../src/ingress/annotations/proxying.ts'
import { parseRouting } from '../../src/ingress/annotations/routing.ts'
import { parseSnippets } from '../../src/ingress/annotations/snippet.ts'
import { parseUpstream } from '../../src/ingress/annotations/upstream.ts'
import { Reader } from '../../src/ingress/reader.ts'
import { parseSettings } from '../../src/ingress/settings.ts'
import { backendObjects, CLASS, configMap, ingress, tlsSecret } from '../contract/ingress-objects.ts'
import { IngressRoom } from '../contract/ingress-room.ts'
import type { Raw } from '../contract/service-objects.ts'
import { backends, LARGE } from './ingress-backends.ts'
import { BACKENDS, CASES, type Ask, type Case } from './ingress-cases.ts'
import { ELSEWHERE } from './ingress-elsewhere.ts'
import { ShippedIngress, type Answer } from './ingress-shipped.ts'
import { until } from './waiting.ts'
import { enterWorld } from './world.ts'

await enterWorld()
t.setTimeout(570_000)

t.test('each annotation does what it says', async (t) => {
  const secrets = await backends(t)
  const cases = CASES.map((each, at) => placed(each, `c${at}.org`))
  const objects = [CLASS, ...secrets, configMap('x/config', COMPRESSED), ...services(), ...cases.flatMap(objectsOf)]
  const room = new IngressRoom({ configMap: 'x/config' }, objects)
  t.same(room.complaints(), [])
  const shipped = new ShippedIngress()
  t.teardown(() => shipped.end())
  shipped.write(...objects)
  await shipped.begin('--configmap', 'x/config')
  const refused = shipped.said.filter((line) => /refused|not built/.test(line))
  t.same(refused, [], 'the carrier takes every row')
  for (const each of cases)
    await t.test(JSON.stringify({ ...each.annotations, ...each.canary }), async (t) => {
      for (const ask of each.asks) for (let i = 0; i < (ask.times ?? 1); i++) await show(t, shipped, room, ask)
    })

  await t.test('load-balance, affinity, upstream-hash-by: who answers next', async (t) => {
    const server = async (url: string, headers = {}): Promise<string> =>
      JSON.parse((await shipped.get(url, { headers })).body).server
    t.not(await server('http://turns.org/'), await server('http://turns.org/'), 'each in its turn')
    const [first, same] = [await server('http://hashed.org/?k=1'), await server('http://hashed.org/?k=1')]
    t.equal(first, same)
    const others = await Promise.all([...Array(16).keys()].map((k) => server(`http://hashed.org/?k=${k}`)))
    t.equal(new Set(others).size, 2)
    const stuck = await shipped.get('http://stuck.org/')
    const [cookie] = stuck.headers['set-cookie'] ?? []
    t.match(cookie, /^s=[0-9a-f]+; Path=\/p; HttpOnly; Max-Age=60; SameSite=Lax; Secure$/)
    for (let i = 0; i < 4; i++)
      t.equal(await server('http://stuck.org/', { cookie: cookie!.split(';')[0] }), JSON.parse(stuck.body).server)
  })

  await t.test('proxy-next-upstream-timeout, session-cookie-change-on-failure', async (t) => {
    // The second of two would say 503.
    await until('no second try', async () => (await shipped.get('http://late.org/')).status === 504)
    const ask = async (host: string, cookie?: string) =>
      shipped.get(`http://${host}/`, { headers: cookie === undefined ? {} : { cookie } })
    let cookie = ''
    await until('one is stuck to what fails', async () => {
      const { status, headers } = await ask('failing.org')
      cookie = headers['set-cookie']?.[0]?.split(';')[0] ?? ''
      return status === 503
    })
    t.equal((await ask('stays.org', cookie)).headers['set-cookie'], undefined)
    t.match((await ask('changes.org', cookie)).headers['set-cookie'], [/^s=/])
  })

  await t.test('limit-connections, limit-rps, limit-rate', async (t) => {
    // Of two that come at once either may be the one too many: the one that is to stay is asked for again.
    let stays = false
    const over = (): boolean => (stays = false)
    await until('one too many', async () => {
      if (!stays) void shipped.get('http://once.org/silence').then(over, over)
      stays = true
      return (await shipped.get('http://once.org/')).status === 503
    })
    const began = performance.now()
    const many = await Promise.all([...Array(64)].map(() => shipped.get('http://wide.org/')))
    t.ok(
      many.some(({ status }) => status === 503),
      'two at once, and one a second',
    )
    t.equal(many.filter(({ status }) => status !== 503 && status !== 200).length, 0)
    const served = many.find(({ status }) => status === 200)
    t.match(served?.headers['set-cookie'], [/^INGRESSCOOKIE=.*; Domain=wide\.org; Max-Age=30$/])
    t.equal((await shipped.get('http://slow.org/large')).body.length, LARGE.length)
    t.ok(performance.now() - began >= 1_000, 'three kilobytes at one a second')
  })

  await t.test('enable-access-log', async (t) => {
    await shipped.get('http://unlogged.org/unlogged')
    await shipped.get('http://c0.org/logged')
    await until('a line', () => shipped.said.some((line) => line.includes('/logged')))
    t.notOk(shipped.said.some((line) => line.includes('/unlogged')))
  })

  await t.test('use-gzip, enable-brotli, of the ConfigMap', async (t) => {
    for (const [accepted, encoding] of [
      ['gzip, br', 'br'],
      ['gzip', 'gzip'],
      ['identity', undefined],
    ]) {
      const { headers } = await shipped.get('http://unlogged.org/large', { headers: { 'accept-encoding': accepted! } })
      t.equal(headers['content-encoding'], encoding)
      t.match(headers.vary, /Accept-Encoding/)
    }
  })
})

t.test('no annotation is without a request that shows it', (t) => {
  const names = new Set<string>()
  class Spy extends Map<string, string> {
    override get(name: string): string | undefined {
      names.add(name)
      return undefined
    }
  }
  const read = new Reader(new Spy(), { object: '', field: (name) => name })
  const { settings } = parseSettings(null, true)
  parseCanary(read)
  parseRouting(read, settings)
  parseProxying(read, settings)
  parseAccess(read, 'x', settings)
  parseUpstream(read, 'x', settings)
  parseAnswering(read, 'x', settings)
  parseSnippets(read)
  const shown = new Set(
    [...CASES, ...MORE].flatMap((each) => [each.annotations, each.canary ?? {}].flatMap(Object.keys)),
  )
  const missing = [...names].filter((name) => !shown.has(name) && ELSEWHERE[name] === undefined)
  t.same(missing, [])
  t.same(
    Object.keys(ELSEWHERE).filter((name) => shown.has(name) || !names.has(name)),
    [],
    'and none is said twice',
  )
  t.end()
})

const STUCK = { affinity: 'cookie', 'session-cookie-name': 's', 'session-cookie-path': '/' }
/** Asked by tests of their own, above. */
const MORE: readonly (Case & { readonly host: string })[] = [
  { host: 'turns.org', annotations: { 'load-balance': 'round_robin' }, paths: { 'HOST/': 'two' }, asks: [] },
  { host: 'hashed.org', annotations: { 'upstream-hash-by': '$arg_k' }, paths: { 'HOST/': 'two' }, asks: [] },
  {
    host: 'stuck.org',
    annotations: {
      ...{ affinity: 'cookie', 'affinity-mode': 'persistent', 'session-cookie-name': 's' },
      ...{ 'session-cookie-path': '/p', 'session-cookie-max-age': '60', 'session-cookie-samesite': 'Lax' },
      'session-cookie-secure': 'true',
    },
    paths: { 'HOST/': 'two' },
    asks: [],
  },
  {
    host: 'wide.org',
    annotations: {
      ...{ affinity: 'cookie', 'session-cookie-domain': 'wide.org', 'session-cookie-expires': '30' },
      'limit-rps': '1',
      'limit-burst-multiplier': '1',
    },
    asks: [],
  },
  {
    host: 'late.org',
    annotations: {
      ...{ 'proxy-connect-timeout': '2', 'proxy-next-upstream': 'error timeout' },
      'proxy-next-upstream-timeout': '1',
    },
    paths: { 'HOST/': 'bad' },
    asks: [],
  },
  {
    host: 'failing.org',
    annotations: { ...STUCK, 'proxy-next-upstream': 'off' },
    paths: { 'HOST/': 'half' },
    asks: [],
  },
  {
    host: 'stays.org',
    annotations: { ...STUCK, 'proxy-next-upstream': 'http_503' },
    paths: { 'HOST/': 'half' },
    asks: [],
  },
  {
    host: 'changes.org',
    annotations: { ...STUCK, 'proxy-next-upstream': 'http_503', 'session-cookie-change-on-failure': 'true' },
    paths: { 'HOST/': 'half' },
    asks: [],
  },
  { host: 'once.org', annotations: { 'limit-connections': '1' }, asks: [] },
  { host: 'slow.org', annotations: { 'limit-rate': '1', 'limit-rate-after': '1' }, asks: [] },
  { host: 'unlogged.org', annotations: { 'enable-access-log': 'false' }, asks: [] },
]

async function show(t: Test, shipped: ShippedIngress, room: IngressRoom, ask: Ask): Promise<void> {
  const { url = '', method = 'GET', headers = {}, body, status = 200, answered = {}, got = {} } = ask
  const answer = await shipped.get(url, { method, headers, ...(body !== undefined && { body }) })
  const what = `${method} ${url}`
  t.equal(answer.status, status, `${what} ${answer.status === status ? '' : answer.body}`)
  for (const [name, pattern] of Object.entries(answered)) fits(t, String(answer.headers[name] ?? ''), pattern, name)
  const said: Record<string, string> = Object.keys(got).length > 0 ? JSON.parse(answer.body) : {}
  for (const [name, pattern] of Object.entries(got)) fits(t, String(said[name] ?? ''), pattern, name)
  if (ask.isBeyondFake !== true) asSupposed(t, room, { url, method, headers }, answer)
}

const fits = (t: Test, value: string, pattern: RegExp | null, name: string): unknown =>
  pattern === null ? t.equal(value, '', name) : t.match(value, pattern, name)

/** What the fake says of the same request. */
function asSupposed(
  t: Test,
  room: IngressRoom,
  { url, method, headers }: { url: string; method: string; headers: Readonly<Record<string, string>> },
  answer: Answer,
): void {
  const outcome = room.outcome(url.replace(/\?.*/, ''), { method, headers })
  if (outcome.kind === 'answered') t.equal(answer.status, outcome.status, 'as the fake says')
  else if (outcome.kind === 'redirected')
    t.same([answer.status, answer.headers.location], [outcome.status, outcome.location], 'as the fake says')
  else {
    const { server, url: target } = JSON.parse(answer.body)
    const [path, port] = [String(target).replace(/\?.*/, ''), [...outcome.to.keys()][0]!.split(':')[1]]
    t.ok(outcome.to.has(`${server}:${port}`), `as the fake says: ${server}`)
    t.equal(path, outcome.path, 'as the fake says')
  }
}

/** With a host instead of HOST. */
const placed = (each: Case, host: string): Case & { readonly host: string } => ({
  ...(JSON.parse(JSON.stringify({ ...each, asks: [] }).replaceAll('HOST', host)) as Case),
  host,
  asks: each.asks.map((ask) => ({
    ...ask,
    url: (ask.url ?? 'http://HOST/').replace('HOST', host),
    answered: patterns(ask.answered, host),
    got: patterns(ask.got, host),
  })),
})

const patterns = (all: Ask['got'], host: string): NonNullable<Ask['got']> =>
  Object.fromEntries(
    Object.entries(all ?? {}).map(([name, pattern]) => [
      name,
      pattern === null ? null : new RegExp(pattern.source.replaceAll('HOST', host.replaceAll('.', '\\.'))),
    ]),
  )

function objectsOf({
  host,
  annotations,
  canary,
  paths = { [`${host}/`]: 'a' },
  tls,
  more = [],
}: Case & { host: string }): Raw[] {
  const own = ingress(`x/${host}`, { annotations, paths, ...(tls && { tls }) })
  // Made here: the name is within.
  if (tls !== undefined) more = [...more, tlsSecret(`x/${host}`, [host])]
  if (canary === undefined) return [own, ...more]
  return [own, ...more, ingress(`x/${host}-canary`, { annotations: canary, paths: { [`${host}/`]: 'b' } })]
}

function services(): Raw[] {
  const own = MORE.map((each) => placed(each, each.host)).flatMap(objectsOf)
  return [...Object.entries(BACKENDS).flatMap(([name, addresses]) => backendObjects(`x/${name}`, addresses)), ...own]
}

const COMPRESSED = { 'use-gzip': 'true', 'enable-brotli': 'true' }
