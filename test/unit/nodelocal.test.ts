/** Node-local DNS: which addresses are served, and where servers of a Corefile listen then. */
import t from 'tap'
import type { Server } from '../../src/dns/corefile/configuration.ts'
import { bindLocal } from '../../src/dns/corefile/localip.ts'
import { checkNodeLocal, nodeLocalMetrics } from '../../src/cli/agent-nodelocal.ts'
import { InputTable } from '../../src/core/table.ts'
import { localAddresses } from '../../src/nodelocal/derive.ts'
import type { LocalAddress } from '../../src/nodelocal/rows.ts'
import { Metrics } from '../../src/status/metrics.ts'

t.test('an address is served where the server answers queries', async (t) => {
  const addresses = ['169.254.20.10', 'fd00::a', '10.96.0.10']
  const served = (...places: string[]): readonly string[] =>
    localAddresses(addresses, places).flatMap(([ip, { isServed }]) => (isServed ? [ip] : []))
  t.same(served(), [])
  t.same(served('169.254.20.10:53', '[FD00:0::A]:53', '10.96.0.10:5353'), ['169.254.20.10', 'fd00::a'])
  t.same(served('0.0.0.0:53'), ['169.254.20.10', '10.96.0.10'], 'all of a family')
  t.same(served('[::]:53'), ['fd00::a'])
  t.same(served('nowhere', '53', ':53', 'x:53'), [])
})

t.test('servers that bind nothing are bound to the addresses of the node', async (t) => {
  const at = (address: string, port = 53): Server['listen'][number] => ({ transport: 'dns', address, port })
  const server = (...listen: Server['listen']): Server => ({ listen, zones: ['.'], steps: [] })
  const any = server(at('0.0.0.0'), at('::'))
  const own = server(at('127.0.0.1', 5353))
  t.same(bindLocal([any, own], ['169.254.20.10', 'fd00::a']), [server(at('169.254.20.10'), at('fd00::a')), own])
  t.same(bindLocal([any], []), [any])
})

t.test('who answers is told for each address', async (t) => {
  const rows = new InputTable<LocalAddress>('node-local DNS')
  const metrics = new Metrics()
  nodeLocalMetrics(metrics, rows)
  const shown = (): readonly string[] =>
    metrics
      .render()
      .split('\n')
      .filter((line) => line.startsWith('fairlead_node_local_dns_served{'))
  rows.replace(localAddresses(['169.254.20.10', 'fd00::a'], ['169.254.20.10:53']))
  t.same(shown(), [
    'fairlead_node_local_dns_served{address="169.254.20.10"} 1',
    'fairlead_node_local_dns_served{address="fd00::a"} 0',
  ])
  rows.replace(localAddresses(['169.254.20.10'], []))
  t.same(shown(), ['fairlead_node_local_dns_served{address="169.254.20.10"} 0'])
})

t.test('addresses of the node do not go with --mode none', async (t) => {
  const words = { nodeLocalDns: ['169.254.20.10'], nodeLocalDnsSocket: '', dnsService: 'kube-system/kube-dns' }
  t.throws(() => checkNodeLocal(words, 'none'), { message: /--mode none nobody sends them elsewhere; use --mode nft/ })
  t.doesNotThrow(() => checkNodeLocal(words, 'iptables'))
  t.doesNotThrow(() => checkNodeLocal(words, undefined))
  t.doesNotThrow(() => checkNodeLocal({ ...words, nodeLocalDns: [] }, 'none'))
})
