/** The kernel forwards what is from and to pods, and goes on doing so whoever sets it otherwise. */
import t from 'tap'
import { enterWorld, inside, ip } from './world.ts'
await enterWorld()

import { readFileSync, writeFileSync } from 'node:fs'
import { Hosts } from './hosts.ts'
import { PATIENCE_MS } from './peer.ts'
import { Shipped, type Agent } from './shipped.ts'
import { NODES, six } from './topology.ts'
import { until } from './waiting.ts'

const [A, B] = ['10.244.1.10', '10.244.2.10'] as const
const OUTSIDE = NODES.outside
const hosts = new Hosts()
const shipped = new Shipped()
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => {
  hosts.close()
  shipped.close()
})

const at = (name: string): string => `/proc/sys/${name.replaceAll('.', '/')}`
const get = (name: string): string => readFileSync(at(name), 'utf8').trim()
const set = (name: string, value: string): void => writeFileSync(at(name), value)

async function answers(from: string, to: string, waitMs = PATIENCE_MS): Promise<boolean> {
  const answer = await hosts.peer(from).send({ protocol: 'tcp', from, to, port: 8080, waitMs })
  return answer.kind === 'answered'
}

const begin = async (name: string, ...args: readonly string[]): Promise<Agent> => {
  const agent = shipped.begin(name, { args: ['--audit-seconds', '0', ...args] })
  await agent.settled('nftables', 'forwarding')
  return agent
}

const refusals = async (agent: Agent) =>
  (await agent.report())!.targets.find(({ name }) => name === 'forwarding')!.refused.first

t.test('the hosts stand, and n1 forwards nothing', async (t) => {
  await hosts.build([A, B, OUTSIDE, six(A), six(B), six(OUTSIDE)], [])
  await hosts.listen([A, B, OUTSIDE].map((address) => `${address}:8080`))
  await ip('-6 route delete default')
  set('net.ipv4.ip_forward', '0')
  set('net.ipv6.conf.all.forwarding', '0')
  shipped.write()
  t.notOk(await answers(OUTSIDE, A, 1500))
})

t.test('nothing is set unless told to', async (t) => {
  await begin('quiet')
  t.equal(get('net.ipv4.ip_forward'), '0')
  t.equal(get('net.ipv6.conf.all.forwarding'), '0')
  await shipped.kill()
})

t.test('a route that a router announced outlives the forwarding', async (t) => {
  set('net.ipv6.conf.eth0.accept_ra', '1')
  await advertise('outside')
  const route = (): Promise<string> => inside('n1', 'ip', '-6', 'route', 'show', 'default', 'proto', 'ra')
  await until('n1 has the route', async () => (await route()) !== '')
  await begin('one', '--forwarding')
  t.equal(get('net.ipv4.ip_forward'), '1')
  t.equal(get('net.ipv6.conf.all.forwarding'), '1')
  t.equal(get('net.ipv6.conf.default.forwarding'), '1')
  t.equal(get('net.ipv6.conf.eth0.accept_ra'), '2')
  t.match(await route(), /default via fe80/)
  t.equal(get('net.ipv6.conf.lo.accept_ra'), '1', 'where no router is, nothing is set')
  for (const [from, to] of [
    [OUTSIDE, A],
    [A, OUTSIDE],
    [A, B],
    [B, A],
  ] as const) {
    // prettier-ignore
    t.ok(await answers(from, to), `${from} -> ${to}`)
    t.ok(await answers(six(from), six(to)), `${six(from)} -> ${six(to)}`)
  }
})

t.test('whatever is set otherwise is as before within a second', async (t) => {
  await ip('link add veth77 type veth peer name other')
  const changes = [
    ['net.ipv4.ip_forward', '0'],
    ['net.ipv4.conf.all.forwarding', '0'],
    ['net.ipv6.conf.all.forwarding', '0'],
    ['net.ipv6.conf.default.forwarding', '0'],
    ['net.ipv6.conf.eth0.accept_ra', '1'],
    ['net.ipv4.conf.default.rp_filter', '1'],
    ['net.ipv4.conf.veth77.rp_filter', '1'],
    ['net.ipv4.conf.veth77.forwarding', '0'],
    ['net.ipv4.conf.default.forwarding', '0'],
    ['net.ipv4.conf.eth0.forwarding', '0'],
  ] as const
  for (const [name, value] of changes) {
    set(name, value)
    const startMs = performance.now()
    const wanted = name.endsWith('forward') || name.endsWith('forwarding') ? '1' : '2'
    await until(`${name} is ${wanted}`, () => get(name) === wanted)
    t.comment(`${name}: ${(performance.now() - startMs).toFixed(0)} ms`)
  }
  t.match(await inside('n1', 'ip', '-6', 'route', 'show', 'default', 'proto', 'ra'), /default via fe80/)
  t.ok(await answers(OUTSIDE, A))
  set('net.ipv4.conf.other.forwarding', '0')
  set('net.ipv4.conf.veth77.forwarding', '0')
  await until('one is set', () => get('net.ipv4.conf.veth77.forwarding') === '1')
  t.equal(get('net.ipv4.conf.other.forwarding'), '0', 'no way of pods: whoever closed it has a reason')
})

t.test('strict for all interfaces: those of pods are loose all the same, others stay strict', async (t) => {
  set('net.ipv4.conf.veth77.rp_filter', '0')
  set('net.ipv4.conf.all.rp_filter', '1')
  await until('loose', () => get('net.ipv4.conf.veth77.rp_filter') === '2')
  t.equal(get('net.ipv4.conf.all.rp_filter'), '1')
  t.equal(get('net.ipv4.conf.eth0.rp_filter'), '0')
  set('net.ipv4.conf.all.rp_filter', '0')
  await shipped.kill()
})

t.test('what cannot be written is refused, with what to do; once it is right, it is refused no more', async (t) => {
  set('net.ipv4.ip_forward', '0')
  await inside('n1', 'mount', '--bind', '/proc/sys', '/proc/sys')
  await inside('n1', 'mount', '-o', 'remount,bind,ro', '/proc/sys')
  const agent = await begin('read-only', '--forwarding')
  const [refused, ...more] = await refusals(agent)
  t.equal(refused!.key, 'net.ipv4.ip_forward')
  t.match(refused!.reason, /read-only/)
  t.match(refused!.remedy, /sysctl -w net\.ipv4\.ip_forward=1/)
  t.strictSame(more, [])
  await inside('n1', 'umount', '--lazy', '/proc/sys') // the agent may be reading there
  set('net.ipv4.ip_forward', '1')
  await until('refused no more', async () => (await refusals(agent)).length === 0)
  await shipped.kill()
})

/** Sends one advertisement of a router: type 134, hop limit 64, for 1800 s. */
async function advertise(from: string): Promise<void> {
  await until('it has a link address', async () =>
    /inet6 fe80/.test(await inside(from, 'ip', '-6', 'addr', 'show', 'dev', 'eth0', 'scope', 'link', '-tentative')),
  )
  const index = (await inside(from, 'cat', '/sys/class/net/eth0/ifindex')).trim()
  const program = `use Socket qw(:DEFAULT AF_INET6 inet_pton pack_sockaddr_in6); socket(my $s, AF_INET6, SOCK_RAW, 58) or die $!;
    setsockopt($s, 41, 17, pack('i', ${index})) or die $!; setsockopt($s, 41, 18, pack('i', 255)) or die $!;
    my $to = pack_sockaddr_in6(0, inet_pton(AF_INET6, 'ff02::1'), ${index}, 0);
    send($s, pack('CCnCCnNN', 134, 0, 0, 64, 0, 1800, 0, 0), 0, $to) or die $!;`
  await inside(from, 'perl', '-e', program)
}
