/**
 * The same questions to DNS as it ships and to a real CoreDNS, on the same API server, by the same Corefile:
 *
 *     questions ──UDP, TCP──┬──> carrier <── fairlead dns ──┐
 *                           └──> CoreDNS ───────────────────┴──> kube-apiserver, etcd
 *
 * The same cluster and questions each time; FAIRLEAD_SEED=N is another one.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { enterWorld } from '../netns/world.ts'
await enterWorld()

import { carrier } from '../../src/kernel/carrier.ts'
import { exec, start } from '../../src/kernel/exec.ts'
import { askTcp, UdpClient } from '../contract/dns-client.ts'
import { labelsOf, TYPES, type Message, type Question } from '../contract/dns-message.ts'
import type { Raw } from '../contract/service-objects.ts'
import { until } from '../netns/waiting.ts'
import { startApiServer, type ApiServer } from './apiserver.ts'
import { build, whyNotBuilt } from './build.ts'
import { Chance } from './chance.ts'
import { clusterOf, DNS_ENDPOINT, FIXED, OUTSIDE } from './dns-cluster.ts'
import { DIFFERENCES, explain, type Asked } from './dns-differences.ts'
import { questionOf } from './dns-questions.ts'
import { startDaemon, type Daemon } from './process.ts'

const seed = Number(process.env['FAIRLEAD_SEED'] ?? 7)
const folder = mkdtempSync(join(tmpdir(), 'fairlead-differential-'))
const running: ChildProcess[] = []
const daemons: Daemon[] = []
let server: ApiServer
t.setTimeout(570_000)
t.bail = true // the second needs the first
t.jobs = 1
const skip = (await whyNotBuilt('components', 'coredns')) ?? false
t.teardown(async () => {
  for (const child of running) child.kill('SIGKILL')
  for (const daemon of daemons) await daemon.stop()
  await server?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** Server blocks, each on a port of its own. */
const BLOCKS: Readonly<Record<string, string>> = {
  kubeadm: `
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
    ttl 30`,
  verified: `
    pods verified
    endpoint_pod_names
    namespaces shop kube-system`,
  disabled: `
    ignore empty_service
    namespace_labels tier=front
    ttl 0`,
  bare: `
    pods insecure
    noendpoints`,
  imported: `
    pods insecure
    multicluster clusterset.local`,
}
const PATIENCE_MS = 120_000
const QUESTIONS = 8000
const NAMES = Object.keys(BLOCKS)
const OURS = 1053
const THEIRS = 2053

const corefile = (first: number, api: string): string =>
  Object.entries(BLOCKS)
    .map(
      ([name, options], i) => `.:${first + i} {
  errors
  bufsize 1232
  hosts {
    ${Object.entries(OUTSIDE)
      .map(([name, ip]) => `${ip} ${name}`)
      .join('\n    ')}
    ttl 60
    fallthrough
  }
  kubernetes cluster.local ${name === 'imported' ? 'clusterset.local ' : ''}in-addr.arpa ip6.arpa {${api}${options}
  }
}
`,
    )
    .join('')

const chance = new Chance(seed)
const { objects, names } = clusterOf(chance)

t.test('both serve the same cluster', { skip }, async (t) => {
  t.comment(`seed ${seed}`)
  await exec(['ip', 'address', 'add', `${DNS_ENDPOINT}/32`, 'dev', 'lo'])
  server = await startApiServer({ say: (line) => t.comment(line) })
  await server.call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', SERVICE_IMPORTS)
  await until('ServiceImports may be made', async () => {
    const path = '/apis/multicluster.x-k8s.io/v1alpha1/serviceimports'
    return server.call('GET', path).then(
      () => true,
      () => false,
    )
  })
  for (const object of objects) await create(object)
  const built = await build('coredns')
  if (built.kind !== 'built') throw new Error(built.hint)
  writeFileSync(join(folder, 'Corefile'), corefile(OURS, ''))
  writeFileSync(join(folder, 'Corefile.peer'), corefile(THEIRS, `\n    kubeconfig ${server.kubeconfig}`))
  daemons.push(startDaemon([built.binary, '-conf', join(folder, 'Corefile.peer')], join(folder, 'coredns.log')))
  const socket = join(folder, 'dns.sock')
  run([carrier, 'dns', '--socket', socket, '--state', join(folder, 'state')])
  const options = ['--socket', socket, '--corefile', join(folder, 'Corefile'), '--kubeconfig', server.kubeconfig]
  run([process.execPath, MAIN, 'dns', ...options, '--log', 'warn'])
  for (const object of FIXED) await create(object)
  for (const port of PORTS) await until(`port ${port} has the last objects`, () => hasAll(port), PATIENCE_MS)
})

t.test('both answer the same, but for what CoreDNS gets wrong', { skip }, async (t) => {
  const servers = PORTS.map((port) => new UdpClient(port))
  try {
    const known = await Promise.all(NAMES.map((_, block) => namesOf(servers[NAMES.length + block]!)))
    const unknown: string[] = []
    const seen = new Map(DIFFERENCES.map(({ name }) => [name, 0]))
    let asked = 0
    for await (const { question, block, theirs, ours } of answersOf(questionsOf(chance), servers)) {
      asked++
      if (text(theirs) === text(ours)) continue
      const name = `${question.labels.join('.')}.`.toLowerCase()
      const difference = explain({ block: NAMES[block]!, question, name, theirs, ours, ...known[block]! })
      if (difference !== null) seen.set(difference.name, seen.get(difference.name)! + 1)
      else unknown.push(`${NAMES[block]} ${JSON.stringify(question)}\n  ${text(theirs)}\n  ${text(ours)}`)
    }
    t.comment(`${asked} questions; differences: ${[...seen].map(([name, count]) => `${name} ${count}`).join(', ')}`)
    t.same(unknown, [], 'nothing differs that is not known')
    t.same(
      [...seen].flatMap(([name, count]) => (count === 0 ? [name] : [])),
      [],
      'what is known to differ does',
    )
  } finally {
    for (const server of servers) server.close()
  }
})

interface Compared {
  readonly question: Question
  readonly block: number
  readonly theirs: Message
  readonly ours: Message
}

/** Each goes to one block: of the examples the one that they name. */
function questionsOf(chance: Chance): readonly (readonly [Question, block: number])[] {
  const examples = DIFFERENCES.map(({ example: [name, type, block] }): [Question, number] => [
    { labels: labelsOf(name), type },
    Math.max(0, NAMES.indexOf(block ?? '')),
  ])
  const random = Array.from({ length: QUESTIONS }, (_, i): [Question, number] => [
    questionOf(chance, names),
    i % NAMES.length,
  ])
  return [...examples, ...random]
}

/** From both servers, every 16th over TCP, 32 at a time. */
async function* answersOf(
  questions: ReturnType<typeof questionsOf>,
  servers: readonly UdpClient[],
): AsyncIterable<Compared> {
  for (let first = 0; first < questions.length; first += 32)
    yield* await Promise.all(
      questions.slice(first, first + 32).map(async ([question, block], i): Promise<Compared> => {
        const put = (base: number): Promise<Message> =>
          i % 16 === 5 ? askTcp(base + block, question) : servers[PORTS.indexOf(base + block)]!.ask(question)
        const [theirs, ours] = await Promise.all([put(THEIRS), put(OURS)])
        return { question, block, theirs, ours }
      }),
    )
}

/** What CoreDNS has under the names of the cluster: against that its denials are held. */
async function namesOf(server: UdpClient): Promise<Pick<Asked, 'alive' | 'aliases'>> {
  const [alive, aliases] = [new Set<string>(), new Set<string>()]
  const ask = async (name: string, type: number): Promise<void> => {
    const key = `${name}.`.toLowerCase()
    const { answer } = await server.ask({ labels: labelsOf(name), type, edns: 4096 })
    if (answer.length > 0) alive.add(key)
    if (type === TYPES.CNAME && answer.length > 0) aliases.add(key)
  }
  for (const name of names) {
    const types = name.endsWith('.arpa') ? [TYPES.PTR] : [TYPES.A, TYPES.AAAA, TYPES.SRV, TYPES.CNAME]
    await Promise.all(types.map((type) => ask(name, type)))
  }
  return { alive, aliases }
}

const text = ({ id: _, ...message }: Message): string => JSON.stringify(message)

const PORTS = [OURS, THEIRS].flatMap((first) => NAMES.map((_, i) => first + i))

async function hasAll(port: number): Promise<boolean> {
  const client = new UdpClient(port)
  const block = NAMES[(port - OURS) % 1000]!
  const rcode = async (name: string, type: number = TYPES.A): Promise<number> =>
    (await client.ask({ labels: labelsOf(name), type })).rcode
  try {
    const codes = [
      await rcode('to-outside.shop.svc.cluster.local', TYPES.CNAME),
      block === 'bare' ? 0 : await rcode('fixed-0.fixed.shop.svc.cluster.local'),
      block !== 'imported' ? 0 : await rcode('far-0.east.far.shop.svc.clusterset.local'),
      block !== 'verified' ? 0 : await rcode('10-244-250-1.shop.pod.cluster.local'),
    ]
    return codes.every((code) => code === 0)
  } finally {
    client.close()
  }
}

async function create(object: Raw): Promise<void> {
  const { apiVersion, kind, metadata, status } = object
  const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`
  const path = kind === 'Namespace' ? `${root}/namespaces` : `${root}/namespaces/${metadata.namespace}/${PLURALS[kind]}`
  if (kind === 'Namespace' && metadata.name === 'kube-system') {
    await until('namespace kube-system', async () => (await server.call('GET', `${path}/kube-system`)) !== null)
    await server.call('PATCH', `${path}/kube-system`, object, 'application/merge-patch+json')
    return
  }
  await server.call('POST', path, object)
  if (status) await server.call('PATCH', `${path}/${metadata.name}/status`, { status }, 'application/merge-patch+json')
}

function run(command: readonly [string, ...string[]]): void {
  running.push(start(command, { stdio: ['ignore', 'inherit', 'inherit'] }))
}

const PLURALS: Readonly<Record<string, string>> = {
  ...{ Pod: 'pods', Service: 'services', EndpointSlice: 'endpointslices', ServiceImport: 'serviceimports' },
}
/** As sigs.k8s.io/mcs-api has it, but for the schema. */
const SERVICE_IMPORTS = {
  ...{ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' },
  metadata: {
    name: 'serviceimports.multicluster.x-k8s.io',
    annotations: { 'api-approved.kubernetes.io': 'https://github.com/kubernetes/enhancements/pull/1748' },
  },
  spec: {
    ...{ group: 'multicluster.x-k8s.io', scope: 'Namespaced' },
    names: { plural: 'serviceimports', singular: 'serviceimport', kind: 'ServiceImport' },
    versions: [
      {
        ...{ name: 'v1alpha1', served: true, storage: true, subresources: { status: {} } },
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
}
const MAIN = join(import.meta.dirname, '../../src/main.ts')
