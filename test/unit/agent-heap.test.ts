import t from 'tap'
import { Tidy } from '../../src/cli/agent-heap.ts'

const MB = 2 ** 20

t.test('garbage is collected when there is much of it, and nothing else to do', async (t) => {
  const heap = { used: 100 * MB, live: 60 * MB, collected: 0 }
  const tidy = new Tidy({
    usedBytes: () => heap.used,
    collect: () => {
      heap.used = heap.live
      heap.collected++
    },
  })
  tidy.look()
  t.equal(heap.collected, 0, 'it may have begun a moment ago')
  tidy.heard()
  tidy.look()
  t.equal(heap.collected, 0, 'busy')
  tidy.look()
  t.equal(heap.collected, 1, 'quiet')
  heap.used += 7 * MB
  tidy.look()
  t.equal(heap.collected, 1, 'not worth a pause')
  heap.used += 7 * MB
  tidy.heard()
  tidy.look()
  t.equal(heap.collected, 1, 'busy again')
  tidy.look()
  t.equal(heap.collected, 2)
})
