/** `fairlead ingress`: the controller of a layer-7 proxy. Follows the cluster, and tells the carrier beside it where to listen and where each request goes; ends on SIGTERM, and then the carrier serves on. */
import { hostname } from 'node:os'
import type { Command } from 'commander'
import { addAcmeOptions } from './ingress-acme-options.ts'
import { runIngress, type IngressCommandOptions } from './ingress-run.ts'
import { addLogOption, logBy } from './log-option.ts'
import { addSourceOptions } from './source.ts'

export function register(program: Command): void {
  const command = program
    .command('ingress')
    .description('serve Ingresses: follow the cluster, tell the carrier where requests go')
    .option('--socket <path>', 'where `fairlead-carrier proxy --socket` listens', '/run/fairlead-ingress/proxy.sock')
  addSourceOptions(command)
    .option(
      '--state-dir <path>',
      'where the last known state of the cluster is kept, but for Secrets and ConfigMaps; "" for nowhere',
      '',
    )
    .option('--controller-class <name...>', 'spec.controller of the IngressClasses to serve', [
      'fairlead.io/ingress',
      'k8s.io/ingress-nginx',
    ])
    .option('--ingress-class <name>', 'value of the annotation kubernetes.io/ingress.class to serve', 'nginx')
    .option('--watch-ingress-without-class', 'serve Ingresses that name no class, too', false)
    .option('--configmap <ns/name>', 'settings for all hosts, as ingress-nginx reads them')
    .option('--tcp-services-configmap <ns/name>', 'ports that are relayed: "9000": "shop/db:5432"')
    .option('--udp-services-configmap <ns/name>', 'the same for UDP')
    .option('--default-backend-service <ns/name>', 'Service for what no Ingress takes; default: 404')
    .option('--default-ssl-certificate <ns/name>', 'Secret with the certificate for all other names')
    .option('--enable-ssl-passthrough', 'honour ssl-passthrough', false)
    .option('--address <ip...>', 'to listen on', ['0.0.0.0', '::'])
    .option('--http-port <port>', '', '80')
    .option('--https-port <port>', '', '443')
    .option('--zone <name>', 'of this proxy: endpoints of it are preferred', process.env['ZONE'])
    .option('--publish-service <ns/name>', 'Service whose addresses are written into the status of Ingresses')
    .option('--publish-status-address <address>', 'written instead: addresses or names, by commas')
    .option('--trial', 'write no status: beside a controller that serves the same Ingresses', false)
    .option(
      '--namespace <name>',
      'of this pod: where the Lease of the leader is, and what is kept of orders',
      process.env['POD_NAMESPACE'] ?? 'default',
    )
    .option('--election-id <name>', 'of the Lease', 'fairlead-ingress-leader')
    .option(
      '--name <name>',
      'of this pod, for Lease, Events and status',
      process.env['POD_NAME'] ?? hostname().toLowerCase(),
    )
    .option('--status-bind-address <address>', 'healthz, readyz, metrics and statusz of this process', ':10264')
    .option('--status-socket <path>', 'statusz on a Unix socket, too')
  addAcmeOptions(command)
  addLogOption(command).addHelpText('after', EXAMPLES).action(ingress)
}

async function ingress(options: IngressCommandOptions & { readonly log: string }): Promise<void> {
  await runIngress(options, logBy(options.log))
}

const EXAMPLES = `
The carrier serves requests, and goes on when this process ends. \`fairlead lint\` says beforehand what of an Ingress is honoured.

Examples:
  fairlead ingress                                   in a pod, beside the carrier
  fairlead ingress --acme-directory https://acme-v02.api.letsencrypt.org/directory --acme-email ops@example.org
                                                     with certificates of Let's Encrypt
  fairlead ingress --trial --configmap ingress-nginx/ingress-nginx-controller --http-port 8080 --https-port 8443
                                                     beside a running ingress-nginx, on other ports
  fairlead ingress --directory manifests/ --http-port 8080 --https-port 8443
                                                     no API server: files, followed as they change`
