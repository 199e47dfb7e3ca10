/** `fairlead dns`: the cluster's DNS. Follows the cluster and a Corefile, and tells the carrier beside it what to answer; ends on SIGTERM, and then the carrier answers on. */
import { hostname } from 'node:os'
import type { Command } from 'commander'
import { registerQuery } from './dns-query.ts'
import { registerTop } from './dns-top.ts'
import { parseAddress } from '../cluster/address.ts'
import { runDns, type DnsOptions } from './dns-run.ts'
import { Failure } from './failure.ts'
import { addLogOption, logBy } from './log-option.ts'
import { addSourceOptions } from './source.ts'

export function register(program: Command): void {
  const command = program
    .command('dns')
    .description("the cluster's DNS: follow the cluster, tell the carrier what to answer")
    .option('--corefile <file>', 'what to answer, as CoreDNS reads it', '/etc/coredns/Corefile')
    .option('--socket <path>', 'where `fairlead-carrier dns --socket` listens', '/run/fairlead-dns/dns.sock')
    .option(
      '--localip <addresses>',
      'servers of the Corefile without a `bind` answer on these only: 169.254.20.10,fd00::10 and the ClusterIPs of kube-dns, ' +
        'as -localip of NodeLocal DNSCache; the agent of the node gives it the addresses (--node-local-dns)',
      parseAddresses,
      [],
    )
  addSourceOptions(command)
    .option('--state-dir <path>', 'where the last known state of the cluster is kept; "" for nowhere', '')
    .option('--name <name>', 'of this pod, for Events and status', process.env['POD_NAME'] ?? hostname().toLowerCase())
    .option('--metrics-bind-address <address>', 'metrics and statusz of this process', '127.0.0.1:9154')
    .option('--status-socket <path>', 'statusz on a Unix socket, too')
  addLogOption(command).addHelpText('after', EXAMPLES).action(dns)
  registerQuery(command)
  registerTop(command)
}

async function dns(options: DnsOptions & { readonly log: string }): Promise<void> {
  await runDns(options, logBy(options.log))
}

function parseAddresses(text: string): readonly string[] {
  return text.split(',').map((each) => {
    const ip = parseAddress(each.trim())
    if (ip === null) throw new Failure(`--localip: ${each} is no address such as 169.254.20.10 or fd00::10`, 2)
    return ip
  })
}

const EXAMPLES = `
The carrier serves DNS, /health, /ready and /metrics as the Corefile says, and goes on when this process ends.

Examples:
  fairlead-carrier dns --socket /run/fairlead-dns/dns.sock --state /var/lib/fairlead-dns    the carrier, in a container of its own
  fairlead dns                                       beside it, in the same pod, with its service account
  fairlead dns --corefile Corefile --kubeconfig ~/.kube/config
  fairlead dns --corefile Corefile --directory manifests/    no API server: files, followed as they change
  fairlead-carrier dns --socket /run/fairlead-dns/dns.sock --node-local /run/fairlead/node-local-dns.sock    on each node,
  fairlead dns --localip 169.254.20.10,10.96.0.10    for the pods there`
