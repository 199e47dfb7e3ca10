import { acl, dns64, header, loadbalance } from './plugins/policy.ts'
import { autopath } from './plugins/autopath.ts'
import { any, chaos, local, loop, minimal, nsid, whoami } from './plugins/identity.ts'
import { bufsize, cancel, timeouts } from './plugins/limits.ts'
import { cache } from './plugins/cache.ts'
import { errors, log } from './plugins/journal.ts'
import { file } from './plugins/file.ts'
import { forward } from './plugins/forward.ts'
import { health, prometheus, ready } from './plugins/web.ts'
import { hosts } from './plugins/hosts.ts'
import { kubernetes } from './plugins/kubernetes.ts'
import { metadata } from './plugins/metadata.ts'
import { rewrite } from './plugins/rewrite.ts'
import { template } from './plugins/template.ts'
import { tls } from './plugins/tls.ts'
import type { Parse } from './setting.ts'

/** What a server does with a query, in CoreDNS's order (its plugin.cfg), which is not that of the file. */
export const PLUGINS: ReadonlyMap<string, Parse> = new Map<string, Parse>([
  ['metadata', metadata],
  ['cancel', cancel],
  ['timeouts', timeouts],
  ['nsid', nsid],
  ['bufsize', bufsize],
  ['ready', ready],
  ['health', health],
  ['prometheus', prometheus],
  ['errors', errors],
  ['log', log],
  ['local', local],
  ['dns64', dns64],
  ['any', any],
  ['chaos', chaos],
  ['loadbalance', loadbalance],
  ['rewrite', rewrite],
  ['autopath', autopath],
  ['acl', acl],
  ['cache', cache],
  ['header', header],
  ['tls', tls],
  ['minimal', minimal],
  ['template', template],
  ['hosts', hosts],
  ['kubernetes', kubernetes],
  ['file', file],
  ['loop', loop],
  ['forward', forward],
  ['whoami', whoami],
])

/** Directives that say where and when, and do nothing with a query. */
export const SETTINGS = ['bind', 'root', 'reload'] as const

/** Names of CoreDNS's that answers do not depend on, which custom files of clusters have in them: warned of. */
export const IGNORED: ReadonlyMap<string, string> = new Map([
  ['debug', 'remove it, and set FAIRLEAD_LOG=debug'],
  ['pprof', 'remove it'],
])

/** CoreDNS's others, with what to do instead. */
export const UNSUPPORTED: ReadonlyMap<string, string> = new Map([
  ['auto', 'remove it, and name each zone file with file'],
  ['azure', 'remove it, and forward the zone to Azure DNS'],
  ['clouddns', 'remove it, and forward the zone to Cloud DNS'],
  ['dnssec', 'remove it, and forward to a server that signs'],
  ['dnstap', 'remove it, and use log'],
  ['dynupdate', 'remove it, and edit the zone file'],
  ['erratic', 'remove it: it is for tests of clients'],
  ['etcd', 'remove it, and forward the zone to a server that reads etcd'],
  ['geoip', 'remove it'],
  ['grpc', 'remove it, and use forward with tls://'],
  ['grpc_server', 'remove it, and serve tls://'],
  ['https', 'remove it, and serve tls://'],
  ['https3', 'remove it, and serve tls://'],
  ['k8s_external', 'remove it, and forward the zone to a CoreDNS that has it'],
  ['multisocket', 'remove it: there is a socket for each core'],
  ['nomad', 'remove it, and forward the zone to Nomad'],
  ['on', 'remove it'],
  ['proxyproto', 'remove it'],
  ['quic', 'remove it, and serve tls://'],
  ['route53', 'remove it, and forward the zone to Route 53'],
  ['secondary', 'remove it, and forward the zone to its primary server'],
  ['shed', 'remove it: queues are bounded'],
  ['sign', 'remove it, and sign the zone file with another program'],
  ['siit', 'remove it'],
  ['trace', 'remove it, and use log'],
  ['transfer', 'remove it: zones are not given away'],
  ['tsig', 'remove it'],
  ['view', 'remove the server block, and give its zone to a server of its own (bind)'],
])
