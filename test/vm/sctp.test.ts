/** SCTP on a kernel that has it: associations through the nftables target. */
import t from 'tap'
import { enterMachine } from './machine.ts'
enterMachine()
import { enterWorld } from '../netns/world.ts'
await enterWorld()

import { exec } from '../../src/kernel/exec.ts'
import { serviceCases } from '../contract/service-cases.ts'
import { sctpCases } from '../contract/service-sctp.ts'
import { endpoint, service, slice } from '../contract/service-objects.ts'
import { POD } from '../contract/service-room.ts'
import { contract } from '../netns/contract.ts'
import { Stage } from '../netns/stage.ts'

/** Each kind of address and each answer; the rest of the contract differs in which endpoints there are, not in packets. */
const KINDS = [
  'ClusterIP: from a pod, the node, another node and outside',
  'hairpin: a pod that reaches itself is masqueraded, on its way to others it is not',
  'wrong port of a live ClusterIP is refused, an unallocated address dropped, others left alone',
  'no endpoints: refused on every address',
  'dual stack: each family on its own',
  'dual stack: a family without endpoints is refused',
  'NodePort, Cluster policy: always masqueraded',
  'NodePort, Local policy: outside stays local with its address, pods and the node reach all',
  'LoadBalancer, Local policy: pods reach the address too',
  'source ranges: filter the load balancer address only',
].map((name) => `SCTP: ${name}`)

t.setTimeout(600_000)
t.equal((await exec(['modprobe', 'sctp'])).kind, 'done', 'the kernel has SCTP')
const cases = [
  ...serviceCases.filter(({ name }) => name.includes('SCTP')),
  ...sctpCases.filter(({ name }) => KINDS.includes(name)),
]
t.equal(cases.length, KINDS.length + 1, 'no case was renamed')
const hosts = contract(t, cases, ['tcp', 'udp', 'sctp'])

t.test('SCTP: session affinity', { timeout: 300_000 }, async (t) => {
  const ip = '10.96.0.10'
  const port = { port: 80, protocol: 'SCTP', targetPort: 8080 }
  const stage = new Stage()
  const asked = async (): Promise<number> => {
    const by = new Set<string>()
    for (let i = 0; i < 24; i++) {
      const answer = await hosts.peer(POD).send({ protocol: 'sctp', from: POD, to: ip, port: 80, waitMs: 60_000 })
      by.add(answer.kind === 'answered' ? answer.by : answer.kind)
    }
    t.notOk(by.has('refused') || by.has('silent'), 'every association is made')
    return by.size
  }
  await stage.put(
    service('web', [ip], { ports: [port] }),
    slice('web-1', 'web', [endpoint('10.244.1.10'), endpoint('10.244.2.10')], [{ port: 8080, protocol: 'SCTP' }]),
  )
  t.equal(await asked(), 2, 'without it, both endpoints')
  await stage.put(service('web', [ip], { ports: [port], sessionAffinity: 'ClientIP' }))
  t.equal(await asked(), 1, 'with it, one')
  await stage.close()
})
