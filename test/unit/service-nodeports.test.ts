import t from 'tap'
import type { Graph } from '../../src/core/graph.ts'
import { deriveLocalhost, loopbacksOf, readsHostAddresses, type LocalhostPort } from '../../src/service/nodeports.ts'
import { DEFAULT_OPTIONS } from '../../src/service/options.ts'
import { node, NODES, service, SERVICE_CIDR, type Raw } from '../contract/service-objects.ts'
import { NODE, NODE6, Room } from '../contract/service-room.ts'

const [IP, IP6] = ['10.96.0.10', 'fd00:10:96::10']
const web = (more: Raw = {}, ips = [IP]): Raw =>
  service('web', ips, { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }], ...more })

t.test('node ports: primary addresses, or what the interfaces have in the ranges', (t) => {
  const nodes = [node('n1', [NODE, '10.99.0.1', NODE6], ['10.244.1.0/24'], null), SERVICE_CIDR]
  const HOST = ['127.0.0.1', '::1', NODE, NODE6, '10.0.0.5', '169.254.1.1', 'fe80::1', 'fd00::5']
  const serving = (nodePortAddresses: readonly string[]): string[] => {
    const room = new Room({ nodePortAddresses }, nodes).put(web({}, [IP, IP6]))
    for (const ip of HOST) room.addresses.put(`2 ${ip}`, { ip })
    return frontends(room)
  }
  t.same(frontends(new Room({}, nodes).put(web())), [NODE], 'only the family of the Service')
  t.same(serving(['primary']), [NODE, NODE6])
  t.same(
    serving(['10.0.0.0/8']),
    ['10.0.0.5'],
    "an address of the Node alone is not the host's; a family without a range has none",
  )
  t.same(serving(['all']), ['10.0.0.5', NODE, NODE6, 'fd00::5'], 'neither loopback nor link-local')
  t.same(serving(['0.0.0.0/0', '::/0']), ['10.0.0.5', NODE, NODE6, 'fd00::5'])
  t.same(serving(['169.254.0.0/16', 'fe80::/64']), ['169.254.1.1', 'fe80::1'], 'link-local when it is named')
  t.same(serving(['primary', 'localhost', 'fd00::/64']), [NODE, NODE6, 'fd00::5'])
  t.same(serving(['127.0.0.0/8', '::1/128']), [])
  t.same(serving([]), [])
  t.end()
})

t.test('an address comes and goes: only its rows change', (t) => {
  const room = new Room({ nodePortAddresses: ['10.0.0.0/8'] }).put(web())
  room.settle()
  room.addresses.put('2 10.0.0.5', { ip: '10.0.0.5' })
  t.same(room.settle(), { put: ['f 10.0.0.5 tcp 30080'], drop: [] })
  room.addresses.put('3 10.0.0.5', { ip: '10.0.0.5' })
  room.addresses.put('3 192.168.0.5', { ip: '192.168.0.5' })
  t.same(room.settle(), { put: [], drop: [] }, 'the same once more, and one out of range')
  room.addresses.drop('2 10.0.0.5')
  t.same(room.settle(), { put: [], drop: [] })
  room.addresses.drop('3 10.0.0.5')
  t.same(room.settle(), { put: [], drop: ['f 10.0.0.5 tcp 30080'] })
  t.end()
})

t.test('what an option means for loopback addresses and for those of the host', (t) => {
  const of = (...nodePortAddresses: string[]) => [
    loopbacksOf({ nodePortAddresses }),
    readsHostAddresses({ nodePortAddresses }),
  ]
  t.same(of('primary'), [[], false])
  t.same(of('primary', 'localhost'), [['127.0.0.1', '::1'], false])
  t.same(of('127.0.0.0/8'), [['127.0.0.1'], false])
  t.same(of('127.0.0.5/32'), [[], false])
  t.same(of('::1/128', '10.0.0.0/8'), [['::1'], true])
  t.same(of('all'), [['127.0.0.1', '::1'], true])
  t.same(of('0.0.0.0/0'), [['127.0.0.1'], true])
  t.end()
})

t.test('localhost: each TCP and UDP node port, in the families of its Service', (t) => {
  const { rows } = localhost(['primary', 'localhost'])
  const ports = [
    { name: 't', port: 80, nodePort: 30080 },
    { name: 'u', port: 53, protocol: 'UDP', nodePort: 30053 },
    { name: 's', port: 80, protocol: 'SCTP', nodePort: 30080 },
    { name: 'none', port: 81 },
  ]
  const four = { 'Service shop/web 127.0.0.1:30080/tcp': `${NODE}:30080`, 'Service shop/web 127.0.0.1:30053/udp': `${NODE}:30053` } // prettier-ignore
  t.same(rows(web({ ports })), four)
  t.same(rows(web({ ports }, [IP, IP6])), {
    ...four,
    'Service shop/web [::1]:30080/tcp': `[${NODE6}]:30080`,
    'Service shop/web [::1]:30053/udp': `[${NODE6}]:30053`,
  })
  t.same(rows(web({ type: 'ClusterIP' })), {})
  t.same(localhost(['primary']).rows(web()), {})
  const only = localhost(['localhost']).rows(web({}, [IP, IP6]))
  t.same(Object.values(only), [`${IP}:80`, `[${IP6}]:80`], 'no address answers: its ClusterIPs')
  t.end()
})

t.test('localhost: a node port that two want has one holder, whoever came first', (t) => {
  for (const order of [0, 1]) {
    const older = service('old', ['10.96.0.11'], web()['spec'], { creationTimestamp: '2020-01-01T00:00:00Z' })
    const younger = service('a-new', ['10.96.0.12'], web()['spec'], { creationTimestamp: '2021-01-01T00:00:00Z' })
    const { room, rows } = localhost(['localhost'])
    t.same(Object.keys(rows(...(order === 0 ? [older, younger] : [younger, older]))), [
      'Service shop/old 127.0.0.1:30080/tcp',
    ])
    room.drop(older)
    t.same(Object.keys(rows()), ['Service shop/a-new 127.0.0.1:30080/tcp'])
  }
  t.end()
})

function frontends(room: Room): string[] {
  const port = (row: { kind: string }) => row.kind === 'frontend' && 'port' in row && row.port === 30080
  return [...room.rows()].flatMap(([, row]) => (port(row) && 'ip' in row ? [row.ip] : []))
}

function localhost(nodePortAddresses: readonly string[]) {
  const room = new Room({ nodePortAddresses }, [...NODES, SERVICE_CIDR])
  const options = { ...DEFAULT_OPTIONS, node: 'n1', nodePortAddresses }
  const table = deriveLocalhost(room.graph as Graph, room.tables.services, room.services.here, options)
  const rows = (...objects: Raw[]): Record<string, string> => {
    room.put(...objects).settle()
    return Object.fromEntries([...table.entries()].map(([key, { to }]: [string, LocalhostPort]) => [key, to]))
  }
  return { room, rows }
}
