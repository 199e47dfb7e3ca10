/** The example of a release by canary (manifests/example-canary.yaml), step by step, as its first lines tell it. */
import { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cannot, everybody, LabRun, until } from './labrun.ts'

t.setTimeout(570_000)
const folder = mkdtempSync(join(tmpdir(), 'fairlead-canary-'))
chmodSync(folder, 0o755)
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('a release, step by step', async (t) => {
  const text = readFileSync(new URL('../../manifests/example-canary.yaml', import.meta.url), 'utf8')
  const file = join(folder, 'canary.yaml')
  const weigh = (weight: number): void => {
    writeFileSync(`${file}.new`, text.replace("canary-weight: '5'", `canary-weight: '${weight}'`))
    renameSync(`${file}.new`, file) // half of it is never there
  }
  weigh(5)
  const lab = new LabRun(
    everybody.findLast((who) => !cannot(who))!,
    {},
  )
  t.teardown(() => lab.remove())
  const up = await lab.cli('up', '--detach', '--nodes', '1', file)
  const page = up.kind === 'done' ? up.stdout : JSON.stringify(up)
  const port = Number(/http:\/\/canary\.localhost:(\d+)/.exec(page)?.[1])
  t.ok(port > 0, page)
  const pod = async (headers = {}): Promise<string> => /^pod: (\w+)-/.exec(await ask(port, headers))?.[1] ?? ''
  /** By many requests, since chance decides. */
  const all = async (): Promise<string> =>
    [...new Set(await Promise.all(Array.from({ length: 50 }, () => pod())))].join()

  await until(async () => (await pod({ 'x-canary': 'never' })) === 'shop', 'the old one', lab)
  await until(async () => (await pod({ 'x-canary': 'always' })) === 'next', 'testers get the new one', lab)
  await until(async () => (await pod()) === 'shop', 'most get the old one', lab)
  await until(async () => (await pod()) === 'next', 'and a few the new one', lab)
  for (const [weight, who] of [
    [100, 'next'],
    [0, 'shop'],
  ] as const) {
    weigh(weight)
    await until(async () => (await all()) === who, `at ${weight} all get ${who}`, lab)
  }
  t.equal(await pod({ 'x-canary': 'always' }), 'next', 'testers go on')
})

/** Its body; '': there was no answer, or another status than 200. */
const ask = (port: number, headers: Readonly<Record<string, string>>): Promise<string> =>
  new Promise((resolve) => {
    const to = { host: '127.0.0.1', port, headers: { host: 'canary.localhost', ...headers }, agent: false as const }
    const asked = request(to, (answer) => {
      let body = ''
      answer.on('data', (chunk: Buffer) => (body += chunk.toString()))
      answer.on('end', () => resolve(answer.statusCode === 200 ? body : ''))
    })
    asked.on('error', () => resolve(''))
    asked.end()
  })
