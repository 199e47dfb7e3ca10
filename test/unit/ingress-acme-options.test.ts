import { Command } from 'commander'
import t from 'tap'
import { acmeOptions, addAcmeOptions, type AcmeWords } from '../../src/cli/ingress-acme-options.ts'

const DIRECTORY = 'https://ca.test/dir'

/** As `fairlead ingress` reads its command line. */
function told(...args: readonly string[]) {
  const command = addAcmeOptions(new Command()).exitOverride()
  command.parse(args, { from: 'user' })
  return acmeOptions({ ...command.opts<AcmeWords>(), namespace: 'edge' })
}

t.test('no directory: certificates are left to others', async (t) => {
  t.equal(told(), null)
})

t.test('one issuer by its names', async (t) => {
  const { issuers, answers } = told(
    ...['--acme-directory', DIRECTORY, '--acme-issuer', 'le', 'letsencrypt-prod', '--acme-email', 'ops@a.test'],
    ...['--acme-profile', 'shortlived', '--acme-eab-kid', 'k1', '--acme-eab-secret', 'edge/eab:hmac'],
  )!
  t.equal(answers, 'edge/fairlead-acme-answers')
  t.same([...issuers.byName.keys()], ['le', 'letsencrypt-prod'])
  t.strictSame(issuers.common, {
    ...{
      name: 'le',
      directory: DIRECTORY,
      email: 'ops@a.test',
      challenge: 'http-01',
      profile: 'shortlived',
      dns: null,
    },
    binding: { kid: 'k1', hmac: { secret: 'edge/eab', key: 'hmac' } },
  })
})

t.test('dns-01: who writes the records', async (t) => {
  const dns = (...args: readonly string[]) =>
    told('--acme-directory', DIRECTORY, '--acme-challenge', 'dns-01', ...args)!.issuers.common!.dns
  t.strictSame(dns('--acme-dns-server', '[2001:db8::53]:5353', '--acme-dns-zone', 'a.test', ...KEY), {
    ...{ kind: 'update', address: '2001:db8::53', port: 5353, zone: 'a.test', keyName: 'acme' },
    ...{ algorithm: 'hmac-sha256', tsig: { secret: 'edge/tsig', key: 'secret' } },
  })
  t.match(dns('--acme-dns-server', '192.0.2.53', '--acme-dns-zone', 'a.test', ...KEY), {
    address: '192.0.2.53',
    port: 53,
  })
  t.strictSame(dns('--acme-dns-webhook', 'http://dns.edge/acme'), {
    ...{ kind: 'webhook', url: 'http://dns.edge/acme', bearer: null },
  })
})

t.test('nonsense is refused with what to write', async (t) => {
  const cases: readonly (readonly [RegExp, ...string[]])[] = [
    [/--acme-email needs --acme-directory/, '--acme-email', 'a@b'],
    [/--acme-dns-zone needs --acme-directory/, '--acme-dns-zone', 'a.test'],
    [/--acme-directory .*https URL/, '--acme-directory', 'http://ca.test/dir'],
    [/--acme-directory .*https URL/, '--acme-directory', 'ca.test'],
    [/--acme-challenge .*http-01, tls-alpn-01, dns-01/, ...ON, '--acme-challenge', 'dns'],
    [/--acme-email .*e-mail/, ...ON, '--acme-email', 'ops'],
    [/--pod-ip .*IP address/, ...ON, '--pod-ip', 'pod-1'],
    [/--acme-eab-kid and --acme-eab-secret/, ...ON, '--acme-eab-kid', 'k'],
    [/--acme-eab-secret .*namespace\/name/, ...ON, '--acme-eab-kid', 'k', '--acme-eab-secret', 'eab'],
    [/--acme-dns-webhook is for --acme-challenge dns-01/, ...ON, '--acme-dns-webhook', 'https://a'],
    [/--acme-dns-server or --acme-dns-webhook/, ...ON, ...DNS],
    [
      /--acme-dns-server or --acme-dns-webhook/,
      ...ON,
      ...DNS,
      '--acme-dns-server',
      '192.0.2.1',
      '--acme-dns-webhook',
      'https://a',
    ],
    [/needs --acme-dns-zone, --acme-dns-key and --acme-dns-secret/, ...ON, ...DNS, '--acme-dns-server', '192.0.2.1'],
    [
      /--acme-dns-server .*192\.0\.2\.1:53/,
      ...ON,
      ...DNS,
      '--acme-dns-server',
      'ns.test',
      '--acme-dns-zone',
      'a.test',
      ...KEY,
    ],
    [
      /--acme-dns-algorithm .*hmac-sha256/,
      ...ON,
      ...DNS,
      '--acme-dns-server',
      '192.0.2.1',
      '--acme-dns-zone',
      'a',
      ...KEY,
      '--acme-dns-algorithm',
      'md5',
    ],
  ]
  for (const [message, ...args] of cases) t.throws(() => told(...args), { message }, args.join(' '))
  const words = { namespace: 'edge', acmeDirectory: DIRECTORY, acmeIssuer: ['le'], acmeChallenge: 'http-01' }
  const files = { ...words, acmeDnsAlgorithm: 'hmac-sha256', directory: ['manifests'] }
  t.throws(() => acmeOptions(files), { message: /needs an API server, not --directory/ })
})

const ON = ['--acme-directory', DIRECTORY]
const DNS = ['--acme-challenge', 'dns-01']
const KEY = ['--acme-dns-key', 'acme', '--acme-dns-secret', 'edge/tsig']
