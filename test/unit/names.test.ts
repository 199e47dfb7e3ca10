import t from 'tap'
import { Patterns } from '../../src/carrier/patterns.ts'
import { Names } from '../../src/core/names.ts'

t.test('which names are wanted', async (t) => {
  const patterns = new Patterns(['example.com.', '*.example.org.'])
  const wanted = [
    'example.com.',
    'a.example.com.',
    'example.org.',
    'a.example.org.',
    'b.a.example.org.',
    'xexample.org.',
    '.',
  ]
  t.strictSame(
    wanted.map((name) => patterns.matches(name)),
    [true, false, false, true, true, false, false],
  )
  t.ok(new Patterns(['*.']).matches('anything.'))
})

t.test('addresses come as they are answered, and go by their TTL', async (t) => {
  let now = 1_000_000
  const names = new Names({ now: () => now, after: () => Promise.resolve() }, 5_000, 3)
  const keys = () => [...names.table.entries()].map(([key]) => key).sort()
  const add = (name: string, ip: string, ttl: number) =>
    names.add([{ names: [name, 'alias.'], addresses: [{ ip, ttl }] }], (each) => each !== 'alias.')
  add('a.', '10.0.0.1', 10)
  add('a.', '10.0.0.2', 20)
  t.strictSame(keys(), ['a. 10.0.0.1', 'a. 10.0.0.2'], 'what is not wanted is left out')
  const { number } = names.table
  now += 10_000
  add('a.', '10.0.0.1', 10)
  t.equal(names.table.number, number, 'that an address lives on is no change')
  now += 14_000
  names.expire()
  t.strictSame(keys(), ['a. 10.0.0.1', 'a. 10.0.0.2'], 'some time after it has ended')
  now += 1_000
  names.expire()
  t.strictSame(keys(), [])
  for (const ip of ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4']) add('b.', ip, 10)
  t.strictSame([keys().length, names.unlisted], [3, 1], 'it is bounded')
})
