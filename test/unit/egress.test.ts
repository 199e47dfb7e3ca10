import t from 'tap'
import { conflist, textOf } from '../../src/cni/conflist.ts'
import { forwardText, parseForward } from '../../src/egress/iptables/chains.ts'
import { routersOf, uplinksOf } from '../../src/egress/sysctl/routers.ts'

const GOLDEN = `{
  "cniVersion": "1.0.0",
  "name": "cbr0",
  "plugins": [
    {
      "type": "ptp",
      "mtu": 1430,
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "ranges": [
          [
            {
              "subnet": "10.244.1.0/24"
            }
          ],
          [
            {
              "subnet": "fd00:10:244:1::/64"
            }
          ]
        ],
        "routes": [
          {
            "dst": "0.0.0.0/0"
          },
          {
            "dst": "::/0"
          }
        ]
      }
    },
    {
      "type": "portmap",
      "capabilities": {
        "portMappings": true
      }
    },
    {
      "type": "bandwidth",
      "capabilities": {
        "bandwidth": true
      }
    }
  ]
}
`

const said = (...lines: readonly string[]) => parseForward(lines.join('\n') + '\n')

t.test('a FORWARD chain that lets nothing through by itself, and our place in it', (t) => {
  t.match(said('-P FORWARD ACCEPT'), { blocks: false, jumps: 0, isReached: false, rules: null })
  t.match(said('-P FORWARD DROP', '-A FORWARD -i lo -j ACCEPT'), { blocks: true })
  t.match(said('-P FORWARD ACCEPT', '-A FORWARD -j REJECT --reject-with icmp-host-prohibited'), { blocks: true })
  t.match(said('-P FORWARD ACCEPT', '-A FORWARD -i eth7 -j DROP'), { blocks: false }, 'of one interface only')
  t.match(said('-P INPUT DROP', '-P FORWARD ACCEPT', '-A INPUT -j DROP'), { blocks: false }, 'another chain')
  const jump = '-A FORWARD -j FAIRLEAD-FORWARD'
  const chain = ['-N FAIRLEAD-FORWARD', '-A FAIRLEAD-FORWARD -s 10.0.0.0/24 -j ACCEPT']
  t.same(said('-P FORWARD DROP', ...chain, '-A FORWARD -j DOCKER-USER', jump), {
    ...{ blocks: true, jumps: 1, isReached: true, rules: ['-s 10.0.0.0/24 -j ACCEPT'] },
  })
  t.match(said('-P FORWARD DROP', ...chain, '-A FORWARD -j DROP', jump), { isReached: false })
  t.match(said(jump, jump, '-N FAIRLEAD-FORWARD'), { jumps: 2, rules: [] })
  t.end()
})

t.test('our chain comes on top, once, and goes without a trace', (t) => {
  const none = said('-P FORWARD DROP')
  const two = said('-P FORWARD DROP', '-N FAIRLEAD-FORWARD', ...Array<string>(2).fill('-A FORWARD -j FAIRLEAD-FORWARD'))
  t.equal(
    forwardText(none, ['-s 10.0.0.0/24 -j ACCEPT']),
    '*filter\n:FAIRLEAD-FORWARD - [0:0]\n-A FAIRLEAD-FORWARD -s 10.0.0.0/24 -j ACCEPT\n-I FORWARD -j FAIRLEAD-FORWARD\nCOMMIT\n',
  )
  t.equal(
    forwardText(two, null),
    '*filter\n:FAIRLEAD-FORWARD - [0:0]\n-D FORWARD -j FAIRLEAD-FORWARD\n-D FORWARD -j FAIRLEAD-FORWARD\n-X FAIRLEAD-FORWARD\nCOMMIT\n',
  )
  t.end()
})

t.test('routers that were announced, out of what the kernel lists', (t) => {
  const zero = '0'.repeat(32)
  const line = (to: string, length: string, flags: string, name: string): string =>
    `${to} ${length} ${zero} 00 fe80000000000000020000fffe000001 00000400 00000001 00000000 ${flags} ${name.padStart(8)}`
  const routes = [
    line(zero, '00', '00450003', 'eth0'),
    line(zero, '00', '00000003', 'eth1'), // set by hand
    line(`fd00${'0'.repeat(28)}`, '40', '00450003', 'eth2'), // no default
    line(zero, '00', '00200200', 'lo'), // the reject behind all
  ]
  t.same([...routersOf(routes.join('\n') + '\n')], ['eth0'])
  t.same([...routersOf('')], [])
  t.end()
})

t.test('interfaces that a default route leads out of, out of what the kernel lists', (t) => {
  const line = (name: string, to: string, flags: string, mask: string): string =>
    [name, to, '0100A8C0', flags, '0', '0', '100', mask, '0', '0', '0'].join('\t')
  const routes = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    line('eth0', '00000000', '0003', '00000000'),
    line('wg0', '00000000', '0001', '00000080'), // half of all
    line('eth1', '0000A8C0', '0001', '00FFFFFF'),
    line('eth2', '00000000', '0002', '00000000'), // down
    line('*', '00000000', '0201', '00000000'), // unreachable
    line('eth3', '00000000', '0003', '00000000'),
  ]
  t.same([...uplinksOf(routes.join('\n') + '\n')], ['eth0', 'eth3'])
  t.same([...uplinksOf('')], [])
  t.end()
})

t.test('the conflist, to the byte', (t) => {
  const both = { ranges: ['10.244.1.0/24', 'fd00:10:244:1::/64'], mtu: 1430, dataDir: null }
  t.equal(textOf(conflist(both)), GOLDEN)
  const [six] = conflist({ ranges: ['fd00::/64'], mtu: null, dataDir: '/data' }).plugins
  t.same(six, {
    type: 'ptp',
    ipMasq: false,
    ipam: { type: 'host-local', dataDir: '/data', ranges: [[{ subnet: 'fd00::/64' }]], routes: [{ dst: '::/0' }] },
  })
  t.end()
})
