import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { configMap, ingress } from '../contract/ingress-objects.ts'
import { lint } from '../../src/cli/lint-report.ts'
import type { Raw } from '../contract/service-objects.ts'

const found = (objects: readonly Raw[], settings: string | null = null) =>
  lint(
    objects.map((object) => ({ object, file: 'f.yaml', line: 1 })),
    settings,
  )

t.test('each annotation has a verdict; what is named is supposed to be there', (t) => {
  const annotations = {
    ...{ 'rewrite-target': '/new', 'preserve-trailing-slash': 'true', 'auth-type': 'digest', nonsense: 'x' },
    ...{ 'kubernetes.io/ingress.class': 'whatever', 'kubernetes.io/tls-acme': 'true', 'auth-tls-secret': 'x/ca' },
  }
  const object = ingress('x/i', {
    paths: { 'a.org/': 'a:http', 'a.org/b': 'b:8080' },
    annotations,
    tls: [{ hosts: ['a.org'], secretName: 's' }],
  })
  const report = found([object])
  t.same(
    report.objects[0]!.findings.map(({ verdict, what }) => `${verdict} ${what}`),
    [
      ...['honoured auth-tls-secret', 'refused auth-type', 'refused nonsense', 'changed preserve-trailing-slash'],
      ...['honoured rewrite-target', 'changed kubernetes.io/tls-acme'],
    ],
  )
  t.match(report, { honoured: 2, changed: 2, refused: 2 })
  t.match(report.objects[0]!.findings[1]!.reason, /digest, which is not done.*503.*use basic/)
  t.end()
})

t.test('of two with a path, one is told; examples of one name are looked at one by one', (t) => {
  const [a, b] = ['a', 'b'].map((name) => ingress(`x/${name}`, { paths: { 'a.org/': 's' } }))
  t.match(
    found([a!, b!]).objects.map(({ findings }) => findings.length),
    [0, 1],
  )
  t.match(found([a!, a!, a!]), { refused: 0, objects: { length: 3 } })
  t.end()
})

t.test('settings count, and are looked at themselves', (t) => {
  const settings = configMap('f/c', {
    'ssl-redirect': 'false',
    'worker-processes': '4',
    'main-snippet': 'x;',
    'ssl-protocol': 'x',
  })
  const report = found([settings, ingress('x/a', { paths: { 'a.org/': 's' } })], 'f/c')
  t.same(
    report.objects.map(({ object, findings }) => [object, findings.map(({ verdict, what }) => `${verdict} ${what}`)]),
    [
      [
        'ConfigMap f/c',
        ['refused main-snippet', 'refused ssl-protocol', 'honoured ssl-redirect', 'changed worker-processes'],
      ],
      ['Ingress x/a', []],
    ],
  )
  t.end()
})

t.test('exit codes', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lint-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const main = join(import.meta.dirname, '../../src/main.ts')
  const run = (objects: readonly Raw[], ...args: readonly string[]) =>
    new Promise<[number, string]>((resolve) => {
      writeFileSync(join(folder, 'all.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
      execFile(process.execPath, [main, 'lint', join(folder, 'all.json'), ...args], (error, stdout, stderr) =>
        resolve([error === null ? 0 : Number(error.code), stdout + stderr]),
      )
    })
  const good = ingress('x/a', { paths: { 'a.org/': 's' }, annotations: { 'ssl-redirect': 'false' } })
  const bad = ingress('x/a', { paths: { 'a.org/': 's' }, annotations: { 'ssl-redirect': 'no way' } })
  t.match(await run([good]), [0, /honoured {3}ssl-redirect[\s\S]*1 objects: 1 honoured, 0 changed, 0 refused/])
  t.match(await run([bad], '-q'), [1, /refused {3}ssl-redirect {3}is "no way"; taken as true: use "true" or "false"/])
  t.match(await run([configMap('x/c', {})]), [2, /have no Ingress/])
  t.match(JSON.parse((await run([good], '-o', 'json'))[1]), { honoured: 1, objects: [{ object: 'Ingress x/a' }] })
})

t.test('a canary is told what is not read of it', (t) => {
  const annotations = { canary: 'true', 'canary-weight': '5', affinity: 'cookie', 'proxy-body-size': '8m' }
  const main = ingress('x/a', { paths: { 'a.org/': 's' } })
  const [, canary] = found([main, ingress('x/c', { paths: { 'a.org/': 's' }, annotations })]).objects
  t.same(
    canary!.findings.map(({ verdict, what }) => `${verdict} ${what}`),
    ['honoured affinity', 'honoured canary', 'honoured canary-weight', 'changed proxy-body-size'],
  )
  t.end()
})
