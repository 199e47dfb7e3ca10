/** A controller's end against the real carrier, whoever of the two is killed, and when. */
import t from 'tap'
import { entry, host, makeWorld, server } from './carrier-process.ts'
import { ask } from './dns-client.ts'

t.test('names are answered as the table has them, and a wrong row harms itself only', async (t) => {
  const world = await makeWorld(t)
  const { names, servers, controller } = world
  names.replace([entry('a', '10.0.0.1'), entry('b', '10.0.0.2')])
  names.markSynced()
  servers.put('1', { ...server(world.port), zones: ['not absolute'] })
  await controller.settled()
  t.match(controller.servers.status().refused.get('1')?.reason, /./)
  t.strictSame(await ask(world.port, host('a')), { rcode: 0, addresses: ['10.0.0.1'] })
  names.put(...entry('a', '10.0.0.3'))
  names.drop(entry('b', '')[0])
  names.put('k0 other.', { set: 'k0', name: 'else.', records: [] })
  await controller.settled()
  t.match(controller.names.status().refused.get('k0 other.')?.reason, /key/)
  t.strictSame(await ask(world.port, host('a')), { rcode: 0, addresses: ['10.0.0.3'] })
  t.strictSame(await ask(world.port, host('b')), { rcode: 3, addresses: [] })
  t.match(
    await controller.connection.ask('metrics', AbortSignal.timeout(60_000)),
    /fairlead_carrier_table_rows\{table="names"\} 1/,
  )
  t.strictSame(await controller.names.audit(), { clean: true })

  controller.connection.figures('controller_counts 1\n')
  const metrics = () => world.controller.connection.ask('metrics', AbortSignal.timeout(60_000))
  t.match(await metrics(), /^controller_counts 1$/m, "the controller's figures are the carrier's, too")
  await world.newController()
  await world.controller.settled()
  t.notMatch(await metrics(), /controller_counts/, 'for as long as it is there')
})

t.test('killed at any moment, worker, carrier or controller, the names arrive', async (t) => {
  const world = await makeWorld(t)
  const { names } = world
  names.replace(Array.from({ length: 3000 }, (_, i) => entry(`many${i}`, '10.1.0.1')))
  names.put(...entry('a', '10.0.0.0'))
  names.markSynced()
  await world.controller.settled()
  for (let round = 1; round <= 12; round++) {
    // While a change, or the whole table, is under way.
    if (round % 2 === 0) for (let i = 0; i < 3000; i++) names.put(...entry(`many${i}`, `10.1.${round}.1`))
    names.put(...entry('a', `10.0.0.${round}`))
    await new Promise((resolve) => setImmediate(resolve))
    if (round % 3 === 0) world.killWorker()
    else if (round % 3 === 1) await world.restart()
    else await world.newController()
    await world.controller.settled()
    t.strictSame(await ask(world.port, host('a')), { rcode: 0, addresses: [`10.0.0.${round}`] }, `round ${round}`)
    const many = round % 2 === 0 ? round : round - 1
    t.strictSame(await ask(world.port, host('many2999')), { rcode: 0, addresses: [`10.1.${many}.1`] })
  }
})

t.test('without a controller: answers from the disk, and when the worker is killed', async (t) => {
  const world = await makeWorld(t)
  world.names.put(...entry('a', '10.0.0.1'))
  world.names.markSynced()
  await world.controller.settled()
  await world.controller.end()
  world.killWorker()
  t.strictSame(await ask(world.port, host('a')), { rcode: 0, addresses: ['10.0.0.1'] })
  await world.restart()
  t.strictSame(await ask(world.port, host('a')), { rcode: 0, addresses: ['10.0.0.1'] })
})
