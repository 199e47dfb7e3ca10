/** `fairlead agent`: a node's data plane. Follows the cluster and makes the kernel do what it says; ends on SIGTERM, and then leaves all as it is. */
import { hostname } from 'node:os'
import { Option, type Command } from 'commander'
import { parseCidr } from '../cluster/address.ts'
import { cleanUp, MODES } from './agent-mode.ts'
import { removeNetwork } from './agent-network.ts'
import { addNetworkOptions } from './agent-network-options.ts'
import { addNodeLocalOptions, checkNodeLocal, removeNodeLocal } from './agent-nodelocal.ts'
import { runAgent, type AgentOptions } from './agent-run.ts'
import { Failure } from './failure.ts'
import { addLogOption, logBy } from './log-option.ts'
import { alone } from './sole.ts'
import { addSourceOptions } from './source.ts'

export function register(program: Command): void {
  const cidrs = (text: string): readonly string[] => text.split(',').map((part) => parseRange(part))
  const command = program
    .command('agent')
    .description("a node's data plane: follow the cluster, program the kernel")
    .option('--node <name>', 'name of this node in the cluster', process.env['NODE_NAME'] ?? hostname().toLowerCase())
  addSourceOptions(command)
    .option(
      '--nodeport-addresses <list>',
      'what answers node ports, each word adding some, see below',
      (text: string) => text.split(',').map((part) => (WORDS.has(part.trim()) ? part.trim() : parseRange(part))),
      ['primary'],
    )
    .option('--service-cidrs <cidrs>', "service ranges, besides the cluster's ServiceCIDR objects", cidrs)
    .option('--external-ip-cidrs <cidrs>', 'only externalIPs in these ranges are honoured; default: all', cidrs)
    .option('--local-pod-cidrs <cidrs>', "addresses of pods on this node; default: the node's podCIDRs", cidrs)
    .option(
      '--service-proxy-name <name>',
      'serve the Services with this service.kubernetes.io/service-proxy-name; default: those without',
    )
    .option(
      '--conntrack-tcp-be-liberal',
      'set net.netfilter.nf_conntrack_tcp_be_liberal: packets out of their window break no connection',
    )
    .option(
      '--state-dir <path>',
      'where the last known state of the cluster is kept; "" for nowhere',
      '/var/lib/fairlead',
    )
    .option('--healthz-bind-address <address>', 'healthz and livez', ':10256')
    .option('--metrics-bind-address <address>', 'metrics and statusz', '127.0.0.1:10249')
    .option('--status-socket <path>', 'statusz on a Unix socket, too')
    .option(
      '--audit-seconds <n>',
      'compare the whole kernel state with what it should be this often; 0: only when somebody changed it',
      Number,
      600,
    )
    .addOption(
      new Option('--mode <mode>', 'what carries services; none: another program').choices(MODES).default('nftables'),
    )
  addNodeLocalOptions(addNetworkOptions(command)).option(
    '--cleanup',
    'remove all that an agent left in the kernel, and exit; sysctls stay, for others may count on them by now',
  )
  addLogOption(command).addHelpText('after', EXAMPLES).action(agent)
}

async function agent(options: AgentOptions & { cleanup?: boolean; log: string }): Promise<void> {
  const log = logBy(options.log)
  if (!(options.auditSeconds >= 0)) throw new Failure('--audit-seconds: expected a number of seconds, or 0', 2)
  checkNodeLocal(options, options.mode)
  const { node } = options
  if (options.cleanup) return alone({ node, log, waitMs: 0 }, () => cleanup(options.cniConfDir))
  await alone({ node, log, waitMs: END_MAX_MS }, () => runAgent(options, log))
}

async function cleanup(cniConfDir: string): Promise<void> {
  try {
    await cleanUp()
    await removeNetwork(cniConfDir)
    await removeNodeLocal()
  } catch (error) {
    throw new Failure((error as Error).message)
  }
}

function parseRange(text: string): string {
  const range = parseCidr(text)
  if (range === null) throw new Failure(`${text} is no range such as 10.0.0.0/8 or fd00::/8`, 2)
  return range.cidr
}

/** A pod that takes another's place is there while that one ends. */
const END_MAX_MS = 5_000

/** As kube-proxy's nodePortAddresses. */
const WORDS = new Set(['primary', 'localhost', 'all'])
const EXAMPLES = `
Node ports answer on the addresses that --nodeport-addresses lists, separated by commas:
  primary          the Node object's first address of each family
  10.0.0.0/8 ...   what the interfaces of this host have in the range, as addresses come and go; link-local ones only
                   in a range of such addresses. A family without a range or word has none.
  localhost        127.0.0.0/8 and ::1/128. With 127.0.0.1 or ::1 in a range, processes of this node reach TCP and UDP
                   node ports there. A process carries them (route_localnet stays off), and ends with the agent's container.
  all              0.0.0.0/0 and ::/0, so localhost, too

Examples:
  fairlead agent                                     in a pod of a DaemonSet, with its service account
  fairlead agent --kubeconfig ~/.kube/config --node worker-1
  fairlead agent --nodeport-addresses primary,localhost    node ports on 127.0.0.1 and ::1, too
  fairlead agent --directory manifests/ --node n1    no API server: files, followed as they change
  fairlead agent --mode iptables                     for a kernel without nf_tables; what another mode left goes
  fairlead agent --mode none --overlay vxlan --cni-conf-dir /etc/cni/net.d    the network of pods only, beside kube-proxy
  fairlead agent --cleanup                           leave nothing in the kernel`
