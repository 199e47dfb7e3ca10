import t from 'tap'
import type { Probed } from '../../src/kernel/checksum-probe.ts'
import { checksumOffload, judge } from '../../src/kernel/offload.ts'

t.test('counters, judged: only packets that arrived as they should prove it', (t) => {
  const of = (seen: number, wrong: number): boolean => judge({ kind: 'probed', seen, wrong }).isSound
  t.ok(of(4, 0))
  t.notOk(of(4, 4))
  t.notOk(of(4, 1), 'one is enough')
  t.notOk(of(0, 0), 'nothing arrived')
  t.match(judge({ kind: 'probed', seen: 0, wrong: 0 }).found, /no packet arrived/)
  t.match(judge({ kind: 'failed', reason: 'nft is missing' }), { isSound: false, found: /nft is missing/ })
  t.end()
})

t.test('it is tried on kernels before 5.7 only', async (t) => {
  let tries = 0
  const probe = (): Promise<Probed> => Promise.resolve({ kind: 'probed', seen: 1, wrong: tries++ })
  for (const kernel of ['5.7.0', '5.10.0-28-amd64', '6.18.44-fc', '10.0'])
    t.ok((await checksumOffload(kernel, probe)).isSound)
  t.equal(tries, 0)
  t.ok((await checksumOffload('5.6.19', probe)).isSound, 'a distribution brought the fix there')
  t.notOk((await checksumOffload('4.18.0-553.el8.x86_64', probe)).isSound)
  t.equal(tries, 2)
})
