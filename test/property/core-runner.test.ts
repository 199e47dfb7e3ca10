import fc from 'fast-check'
import t from 'tap'
import type { Binding } from '../../src/core/binding.ts'
import type { Drift, Key } from '../../src/core/delta.ts'
import { derive, type Derivation } from '../../src/core/derive.ts'
import { Graph } from '../../src/core/graph.ts'
import { Runner } from '../../src/core/runner.ts'
import { same } from '../../src/core/same.ts'
import { FakeClock, turn, until, World, type Mood } from '../unit/core-world.ts'
import { act, first, full, inputs, ordered, second, step } from './core-model.ts'

const MOODS: Mood[] = ['well', 'slow', 'refuse to start', 'throw at once', 'half done', 'hang', 'answer nonsense']

/** One process: a graph, its runner, and the outside world that was there before. */
function agent(outside: Map<Key, number>, clock = new FakeClock()) {
  const graph = new Graph()
  const world = inputs()
  const one = derive(graph, first(world))
  const spec = second(world, one)
  const two = derive(graph, spec)
  const stop = new AbortController()
  const runner = new Runner(graph, {
    signal: stop.signal,
    clock,
    random: () => 0.5,
    auditEveryMs: 3_000,
    applyTimeoutMs: 1_000,
  })
  const target = new World(outside)
  const binding = runner.attach(two, target)
  const ended = runner.run()
  return { graph, world, two, spec, clock, target, binding, end: () => (stop.abort(), ended) }
}

t.test('nothing acts before it knows', async (t) => {
  const order = fc.shuffledSubarray(['things', 'parts', 'more'] as const, { minLength: 3 })
  const load = fc.tuple(
    fc.array(step, { maxLength: 8 }),
    fc.array(step, { maxLength: 8 }),
    fc.array(step, { maxLength: 8 }),
  )
  const life = fc.record({ order, load, died: fc.integer({ min: 0, max: 3 }) })
  await fc.assert(
    fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 3, size: 'max' }), async (lives) => {
      let outside = new Map<Key, number>([['before us', 1]])
      const epochs = new Set<string>()
      for (const { order, load, died } of lives) {
        // A life: each input's first list in turn, changes all the while, and perhaps an end before the last.
        const found = [...outside]
        const { world, target, binding, two, spec, clock, graph, end } = agent(outside)
        for (let i = 0; i < died; i++) {
          for (const move of load[i]!) act(world, move)
          await turn()
          await turn()
          check(target.applies.length, 0)
          check([...outside], found)
          world[order[i]!].markSynced()
        }
        if (died === 3) {
          await until(() => binding.status().applied?.number === two.number && two.number > 0, 'first apply', clock)
          check(target.applies[0]!.from, 0)
          checkFull(outside, spec)
          check(epochs.has(target.applies[0]!.epoch), false)
          epochs.add(graph.epoch)
        }
        await end()
        check(target.problem, null)
        outside = new Map(target.rows)
      }
    }),
    { numRuns: 150 },
  )
  t.pass()
})

t.test('one recovery path: whatever fails, the outside ends equal to the table', async (t) => {
  const trouble = fc.constantFrom('none' as const, 'none', 'tamper and audit', 'tamper and recover', 'wait')
  const turns = fc.array(fc.tuple(fc.array(step, { maxLength: 5 }), trouble, fc.nat(4)), { maxLength: 25, size: 'max' })
  const moods = fc.array(fc.constantFrom(...MOODS), { maxLength: 25, size: 'max' })
  await fc.assert(
    fc.asyncProperty(turns, moods, fc.nat(4), async (turns, moods, bad) => {
      const { world, target, binding, two, spec, clock, end } = agent(new Map([['stale', 0]]))
      target.moods.push(...moods)
      target.refuses = (_, row) => (row === bad + 3 ? 'an odd number' : null)
      for (const table of Object.values(world)) table.markSynced()
      for (const [steps, trouble, wait] of turns) {
        for (const move of steps) act(world, move)
        for (let i = 0; i < wait; i++) await turn()
        if (trouble.startsWith('tamper'))
          for (const key of target.rows.keys()) if (key.length % 2) target.rows.delete(key)
        if (trouble === 'tamper and recover') binding.recover('flushed')
        if (trouble === 'tamper and audit') void binding.audit()
        if (trouble === 'wait') clock.advance(700)
      }
      await turn()
      target.moods.length = 0
      const calm = () => {
        const { applied, pending, retries } = binding.status()
        return applied?.number === two.number && pending === 0 && retries === 0
      }
      await until(calm, 'calm', clock)
      await audited(binding, clock) // may find what was tampered with last
      await until(calm, 'calm again', clock)
      check(await audited(binding, clock), { clean: true })
      checkFull(target.rows, spec, (row) => row === bad + 3)
      check(
        [...binding.status().refused.keys()].sort(),
        ordered(two.entries()).flatMap(([k, row]) => (row === bad + 3 ? [k] : [])),
      )
      check(target.problem, null)
      await end()
    }),
    { numRuns: 150 },
  )
  t.pass()
})

t.test('under load the target follows, and coalesces', async (t) => {
  const { world, target, binding, two, spec, clock, end } = agent(new Map())
  for (const table of Object.values(world)) table.markSynced()
  const steps = fc.sample(step, { numRuns: 2_000, seed: 7 })
  for (const [at, move] of steps.entries()) {
    act(world, move)
    if (at % 10 === 0) await turn()
    if (at % 100 === 0) target.moods.push('slow')
  }
  await turn()
  await until(() => binding.status().applied?.number === two.number, 'the end', clock)
  checkFull(target.rows, spec)
  t.ok(target.applies.length <= 201, `${target.applies.length} applies of 2,000 changes in 200 turns`)
  t.equal(target.problem, null)
  await end()
})

function checkFull(
  outside: ReadonlyMap<Key, number>,
  spec: Derivation<number, any>,
  but: (row: number) => boolean = () => false,
): void {
  const wanted = ordered(full(spec).rows)
  check(
    ordered(outside),
    wanted.filter(([, row]) => !but(row)),
  )
}

async function audited(binding: Binding, clock: FakeClock): Promise<Drift> {
  let drift: Drift | null = null
  void binding.audit().then((found) => (drift = found))
  await until(() => drift !== null, 'audit', clock)
  return drift!
}

function check(found: unknown, wanted: unknown): void {
  if (!same(found, wanted)) throw new Error(`found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`)
}
