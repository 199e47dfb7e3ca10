import t from 'tap'
import { ConnectionsWatch, nearLimit, type Connections } from '../../src/status/connections.ts'
import { createLog } from '../../src/status/log.ts'

t.test('near the limit: from nine tenths on, with what to do', (t) => {
  t.equal(nearLimit({ entries: 899, max: 1000, drops: 0 }), null)
  t.match(nearLimit({ entries: 900, max: 1000, drops: 0 }), /90 % full \(900 of 1000\).*nf_conntrack_max=2000$/)
  t.equal(nearLimit({ entries: 900, max: 0, drops: 0 }), null, 'no limit')
  t.end()
})

t.test('each turn is said once', (t) => {
  const said: string[] = []
  const log = createLog({ level: 'info', format: 'text', write: (line) => said.push(line) })
  let now: Connections | null = null
  const watch = new ConnectionsWatch(log, () => now)
  const look = (entries: number, drops: number): string => {
    said.length = 0
    now = { entries, max: 1000, drops }
    watch.look()
    return said.join('')
  }
  watch.look()
  t.same(said, [], 'nothing is known')
  t.equal(look(10, 50), '', 'drops of before the agent')
  t.match(look(950, 50), /WARN.*nearly full.*95 %/i)
  t.equal(look(960, 50), '', 'not again')
  t.match(look(1000, 57), /WARN.*dropped=7 /i)
  t.equal(look(1000, 57), '')
  t.match(look(100, 57), /INFO.*room again/i)
  t.match(look(1000, 60), /WARN.*nearly full[^]*WARN.*dropped=3 /i)
  t.end()
})
