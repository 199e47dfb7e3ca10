/** h2spec, which holds a server to RFC 7540 and 7541, against the ingress as it ships: over TLS, and in the clear (prior knowledge). */
import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { exec } from '../../src/kernel/exec.ts'
import { CLASS, backendObjects, ingress } from '../contract/ingress-objects.ts'
import { ShippedIngress } from '../netns/ingress-shipped.ts'
import { enterWorld, ip } from '../netns/world.ts'
import { builtPath, whyNotBuilt } from './build.ts'

await enterWorld()
t.setTimeout(600_000)
const skip = (await whyNotBuilt('h2spec')) ?? false

/** By case: why it is otherwise here. */
const OTHERWISE: Readonly<Record<string, string>> = {
  'clear http2/3.5 Sends invalid connection preface':
    'the port speaks HTTP/1.1, too: what is no preface is a request, and the connection ends after 400',
}

t.test('each case passes, or fails for a reason', { skip }, async (t) => {
  const shipped = new ShippedIngress()
  t.teardown(() => shipped.end())
  await ip('addr add 10.9.0.1/32 dev lo')
  const backend = createServer((asked, answer) => {
    asked.resume()
    asked.on('end', () => answer.end('x'.repeat(100)))
  })
  await new Promise<void>((resolve) => backend.listen(8080, '10.9.0.1', resolve))
  t.teardown(() => backend.close())
  const annotations = { 'ssl-redirect': 'false' }
  shipped.write(CLASS, ...backendObjects('x/a', ['10.9.0.1']), ingress('x/i', { paths: { '/': 'a' }, annotations }))
  await shipped.begin()
  const h2spec = (await builtPath('h2spec'))!
  for (const [name, flags] of [
    ['tls', ['-p', '443', '-t', '-k']],
    ['clear', ['-p', '80']],
  ] as const) {
    const file = join(shipped.folder, `${name}.xml`)
    const patience = ['-o', '20']
    const ran = await exec([h2spec, '-h', '127.0.0.1', ...flags, ...patience, '-j', file], { timeoutMs: 300_000 })
    const report = readFileSync(file, 'utf8')
    const failed = failures(report)
    t.same(
      Object.keys(failed).filter((each) => OTHERWISE[`${name} ${each}`] === undefined),
      [],
      name,
    )
    t.ok(ran.kind === 'done' || ran.kind === 'failed', name)
    t.ok(report.split('<testcase ').length > 140, 'all cases ran')
  }
})

/** Cases of a JUnit report that failed, and what they saw. */
function failures(report: string): Record<string, string> {
  const cases = report.split('<testcase ').slice(1)
  return Object.fromEntries(
    cases
      .filter((each) => /<(failure|error)/.test(each))
      .map((each) => [
        `${/package="([^"]*)"/.exec(each)?.[1]} ${/classname="([^"]*)"/.exec(each)?.[1]}`,
        each.replace(/<[^>]*>/g, ' ').slice(0, 300),
      ]),
  )
}
