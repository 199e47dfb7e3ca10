/** Services with many endpoints on a real kernel: every draw lands, all endpoints get the same share, one less moves nobody. */
import t, { type Test as Tap } from 'tap'
import { enterWorld, inside, ip, within } from './world.ts'
await enterWorld()

import { createInterface } from 'node:readline'
import { carrier } from '../../src/kernel/carrier.ts'
import { start } from '../../src/kernel/exec.ts'
import { nftProcess } from '../../src/kernel/nft.ts'
import { endpoint, service, slice, type Raw } from '../contract/service-objects.ts'
import { POD } from '../contract/service-room.ts'
import { Hosts } from './hosts.ts'
import { Stage } from './stage.ts'
import { NODES } from './topology.ts'

const hosts = new Hosts()
const IP = '10.96.0.10'
const CONNECTIONS = 20_000
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => {
  hosts.close()
  server?.kill('SIGKILL')
})
let server: ReturnType<typeof start> | null = null

t.test('the hosts stand: n2 answers on 65,536 addresses', { timeout: 120_000 }, async () => {
  await hosts.build([POD], [IP])
  await ip(`route add 10.250.0.0/16 via ${NODES.n2}`, '-n n2 route add local 10.250.0.0/16 dev lo')
  const command = [...within('n2'), carrier, 'load', 'serve', '--listen', 'tcp:8080']
  server = start(command as unknown as readonly [string], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => createInterface({ input: server!.stdout! }).once('line', resolve))
})

for (const [count, bound] of [
  [128, 128 + 8 * Math.sqrt(2 * 128)],
  [200, 200 + 8 * Math.sqrt(2 * 200)],
  [5000, 5000 + 8 * Math.sqrt(2 * 5000)],
] as const)
  t.test(`${count} endpoints`, { timeout: 300_000 }, async (t) => {
    const stage = new Stage()
    const all = crowd(count)
    await stage.put(service('web', [IP]), ...all)
    const shares = await draw(t)
    // Pearson: for a fair draw about `count`, with a standard deviation of the root of twice that; 8 of them is never.
    const mean = CONNECTIONS / count
    const missed = count - shares.size
    const chi2 = [...shares.values()].reduce((sum, share) => sum + (share - mean) ** 2 / mean, missed * mean)
    t.ok(chi2 < bound, `chi-square ${chi2.toFixed(0)} for ${count} endpoints; ${missed} never drawn`)
    t.ok([...shares.keys()].every((address) => address.startsWith('10.250.')))

    const before = stage.room.rows()
    const less = slice('web-0', 'web', all[0]!['endpoints'].slice(1))
    await stage.put(less)
    const now = await draw(t)
    t.notOk(now.has(address(0)), 'nobody is sent to the one that is gone')
    t.ok(now.size > shares.size * 0.97, `the others are all there: ${now.size}, before ${shares.size}`)
    if (count > 128) {
      const moved = [...stage.room.rows()].filter(([key, row]) => before.has(key) && before.get(key) !== row).length
      t.ok(moved < count / 20, `${moved} of ${before.size} rows changed`)
    }
    await stage.close()
  })

/** Makes connections, all of which must succeed, and returns how many each endpoint got. */
async function draw(t: Tap): Promise<Map<string, number>> {
  t.equal((await nftProcess.run(COUNT)).kind, 'committed')
  const command = [
    'load',
    'connect',
    '--to',
    `${IP}:80`,
    '--count',
    String(CONNECTIONS),
    '--from',
    POD,
    '--threads',
    '4',
    '--timeout-ms',
    '20000',
  ]
  const { failedTotal, connections } = JSON.parse(await inside(hosts.name(POD), carrier, ...command)) as Figures
  t.same({ failedTotal, connections }, { failedTotal: 0, connections: CONNECTIONS }, 'every draw lands')
  const listing = await inside('n1', 'nft', 'list', 'set', 'ip', 'counting', 'seen')
  await nftProcess.run('delete table ip counting')
  return new Map([...listing.matchAll(/(10\.250\.\S+) counter packets (\d+)/g)].map((m) => [m[1]!, Number(m[2])]))
}

function crowd(count: number): Raw[] {
  const slices: Raw[] = []
  for (let from = 0; from < count; from += 100) {
    const endpoints = Array.from({ length: Math.min(100, count - from) }, (_, i) => endpoint(address(from + i)))
    slices.push(slice(`web-${from / 100}`, 'web', endpoints))
  }
  return slices
}

const address = (number: number): string => `10.250.${number >> 8}.${number & 255}`

interface Figures {
  readonly connections: number
  readonly failedTotal: number
}

const COUNT = `table ip counting {
  set seen { type ipv4_addr; flags dynamic; size 65535; }
  chain c { type filter hook forward priority 10; tcp flags & (syn | ack) == syn update @seen { ip daddr counter }; }
}`
