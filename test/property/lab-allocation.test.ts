/** No address or node port is ever given twice, and what a Service holds stays its own. */
import fc from 'fast-check'
import t from 'tap'
import type { Fields } from '../../src/lab/api/object.ts'
import { createControlPlane } from '../../src/lab/controllers/plane.ts'
import { at, service } from '../unit/lab-objects.ts'

const ports = fc.uniqueArray(
  fc.record({ port: fc.integer({ min: 1, max: 4 }), nodePort: fc.constantFrom(0, 0, 30_000, 30_005) }),
  {
    selector: ({ port }) => port,
    minLength: 1,
    maxLength: 3,
  },
)
const spec = fc.record({
  type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'),
  ports: ports.map((list) =>
    list.map(({ port, nodePort }) => ({ name: `p${port}`, port, ...(nodePort && { nodePort }) })),
  ),
  clusterIP: fc.constantFrom(undefined, undefined, 'None', '10.96.0.3'),
  externalTrafficPolicy: fc.constantFrom(undefined, 'Local'),
  ipFamilyPolicy: fc.constantFrom(undefined, 'PreferDualStack'),
  externalName: fc.constant('example.com'),
})
const step = fc.record({
  do: fc.constantFrom('create', 'update', 'delete'),
  name: fc.integer({ min: 0, max: 11 }),
  spec,
})

t.test('for any history of Services', async (t) => {
  let refused = 0
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
      const ranges = { clusterCIDRs: ['10.96.0.0/28', 'fd00:10:96::/124'], nodePorts: { first: 30_000, last: 30_015 } }
      const { store, runner } = createControlPlane({
        ranges,
        loadBalancerPools: ['172.30.0.192/29', 'fd00:172:30::c0/125'],
      })
      for (const { do: what, name, spec: wanted } of steps) {
        const raw = JSON.parse(JSON.stringify(service(`s${name}`, wanted))) as Fields
        if (what === 'create') refused += store.create(raw).ok ? 0 : 1
        else if (what === 'update') store.update(raw)
        else store.delete(at('services', `s${name}`))
        runner.settle()
        const held = store
          .list('services')
          .flatMap(({ spec: has, status }) => [
            ...(has.clusterIPs ?? []).filter((ip: string) => ip !== 'None'),
            ...new Set((has.ports ?? []).map(({ nodePort }: Fields) => nodePort).filter(Boolean)),
            ...(has.healthCheckNodePort ? [has.healthCheckNodePort] : []),
            ...(status.loadBalancer?.ingress ?? []).map(({ ip }: Fields) => ip),
          ])
        if (new Set(held).size !== held.length) throw new Error(`given twice: ${held}`)
        for (const { spec: has } of store.list('services')) {
          const wants = has.type === 'NodePort' || has.type === 'LoadBalancer'
          const given = (has.ports as Fields[]).every(({ nodePort }) => Boolean(nodePort) === wants)
          if (!given) throw new Error(`node ports do not fit the type: ${JSON.stringify(has)}`)
          if (has.type !== 'ExternalName' && has.clusterIPs.some((ip: string) => !ip)) throw new Error('no address')
        }
      }
      runner.stop()
    }),
    { numRuns: 300 },
  )
  t.ok(refused > 0, `${refused} were refused: the ranges are small`)
})
