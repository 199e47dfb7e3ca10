/** A Corefile that is read again: when, and what of it is news. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { disk } from '../../src/dns/corefile/disk.ts'
import { CorefileWatcher, type Reading } from '../../src/dns/corefile/watcher.ts'
import { access } from './dns-corefile-world.ts'

/** Time that passes only as a test says: each wait is noted, and ends when `pass` is called. */
class StandingClock {
  readonly waits: number[] = []
  #end: (() => void) | null = null

  now(): number {
    return 0
  }

  after(ms: number, signal: AbortSignal): Promise<void> {
    this.waits.push(ms)
    return new Promise((resolve) => {
      this.#end = resolve
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  pass(): void {
    this.#end?.()
  }
}

const shown = (reading: Reading | null): string =>
  reading === null
    ? 'nothing new'
    : 'problems' in reading
      ? reading.problems.map(({ problem }) => problem).join()
      : reading.configuration.servers
          .map(({ zones, steps }) => `${zones.join()}: ${steps.map(({ plugin }) => plugin).join()}`)
          .join()

t.test('what is news', async (t) => {
  const files: Record<string, string> = {}
  const watcher = new CorefileWatcher('/Corefile', access(files), new StandingClock(), () => 0.5)
  const reads = (text: string | null, wanted: string) => {
    if (text === null) delete files['/Corefile']
    else files['/Corefile'] = text
    t.equal(shown(watcher.read()), wanted, encodeURI(String(text)))
  }
  reads(null, 'there is no file "/Corefile"')
  reads(null, 'nothing new')
  reads('. {\n whoami\n}', '.: whoami')
  reads('. {\n whoami # a comment\n}', 'nothing new')
  reads('. {\n whoamy\n}', '"whoamy" is no plugin')
  reads('. {\n whoamy\n}', 'nothing new')
  reads('. {\n whoamu\n}', '"whoamu" is no plugin')
  reads('. {\n whoami\n}', '.: whoami')
  reads('. {\n whoami\n}', 'nothing new')
  reads('. {\n import x\n}', 'there is no file "/x"')
  files['/x'] = 'any'
  reads('. {\n import x\n}', '.: any')
  files['/x'] = 'minimal'
  reads('. {\n import x\n}', '.: minimal')
})

t.test('how often', async (t) => {
  const files: Record<string, string> = { '/Corefile': 'wrong' }
  const clock = new StandingClock()
  const chance = [0, 1, 0.5, 0]
  const watcher = new CorefileWatcher('/Corefile', access({}), clock, () => 0.5)
  const end = new AbortController()
  const lost = watcher.readings(end.signal)
  t.equal(shown((await lost.next()).value as Reading), 'there is no file "/Corefile"')
  const waiting = lost.next()
  end.abort()
  t.ok((await waiting).done, 'the signal ends it')

  const other = new CorefileWatcher('/Corefile', access(files), clock, () => chance.shift()!)
  const readings = other.readings(new AbortController().signal)
  const next = async (text: string): Promise<string> => {
    files['/Corefile'] = text
    clock.pass()
    const { value, done } = await readings.next()
    return done ? 'the end' : shown(value)
  }
  t.equal(await next('. {\n x\n}'), '"x" is no plugin')
  clock.waits.length = 0
  const steps: [string, string, number[]][] = [
    ['. {\n whoami\n reload 10s 2s\n}', '.: whoami', [15_000]],
    ['. {\n any\n reload 10s 0s\n}', '.: any', [12_000]],
    ['. {\n whoami\n}', '.: whoami', [10_000]],
    ['. {\n any\n}', 'the end', []],
  ]
  for (const [text, wanted, waits] of steps) {
    const reading = readings.next()
    files['/Corefile'] = text
    clock.pass()
    const { value, done } = await reading
    t.equal(done ? 'the end' : shown(value), wanted)
    t.same(clock.waits.splice(0), waits)
  }
})

t.test('on a disk', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-corefile-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'conf.d'))
  writeFileSync(join(folder, 'Corefile'), '.:1053 {\n bind lo\n import conf.d/*.conf\n}')
  writeFileSync(join(folder, 'conf.d', 'b.conf'), 'whoami')
  writeFileSync(join(folder, 'conf.d', 'a.conf'), 'any')
  const watcher = new CorefileWatcher(join(folder, 'Corefile'), disk, new StandingClock(), () => 0.5)
  const reading = watcher.read()
  t.equal(shown(reading), '.: any,whoami')
  t.ok(
    reading &&
      'configuration' in reading &&
      reading.configuration.servers[0]!.listen.some(({ address }) => address === '127.0.0.1'),
  )
  writeFileSync(join(folder, 'conf.d', 'b.conf'), 'import ../conf.d')
  t.equal(shown(watcher.read()), `${JSON.stringify(join(folder, 'conf.d'))} is a folder`)
  t.same(disk.read('/dev/zero'), { unreadable: 'denied' })
  t.same(disk.read(join(folder, 'none', 'x')), { unreadable: 'missing' })
  t.same(disk.list(join(folder, 'none')), [])
})
