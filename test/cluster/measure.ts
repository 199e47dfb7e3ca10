/**
 * Memory and time of the kube source alone: `node test/cluster/measure.ts [SERVICES]`. A real API server is filled with Services
 * (default 10,000) and a tenth as many EndpointSlices of 100 endpoints; then a process of its own, which holds nothing but
 * the source and its tables, lists them and follows 1,000 changes. RSS is VmRSS and VmHWM of /proc/self/status in that process.
 */
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { connect, findSettings, kubeSource } from '../../src/cluster/source/kube.ts'
import { createInlets, createTables } from '../../src/cluster/tables.ts'
import { start } from '../../src/kernel/exec.ts'
import { cacheFolder } from './build.ts'
import { startApiServer, type ApiServer } from './apiserver.ts'
import { until } from './process.ts'

async function main(count: number): Promise<void> {
  const api = await startApiServer({ say: console.error })
  try {
    const begun = performance.now()
    await inParallel(count, (i) => api.call('POST', '/api/v1/namespaces/default/services', service(i)))
    await inParallel(count / 10, (i) => api.call('POST', SLICES, slice(i, 0)))
    console.log(`filled in ${seconds(begun)} s: ${count} services, ${count / 10} slices of 100 endpoints`)
    // A young generation of 4 MB: what JSON leaves behind is collected before it costs 40 MB of RSS.
    const argv = [
      process.execPath,
      '--max-semi-space-size=4',
      '--disable-warning=ExperimentalWarning',
      import.meta.filename,
      'source',
      api.kubeconfig,
    ]
    // As bin/fairlead does; the first run fills it.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(cacheFolder(), 'measure') }
    await once(start([process.execPath, import.meta.filename, 'warm'], { stdio: 'inherit', env }), 'exit')
    const child = start(argv as [string, ...string[]], { stdio: ['ignore', 'pipe', 'inherit'], env })
    child.stdout!.on('data', (chunk: Buffer) => {
      process.stdout.write(chunk)
      if (chunk.includes('settled')) void change(api)
    })
    await once(child, 'exit')
  } finally {
    await api.stop()
  }
}

/** In the process that is measured. */
async function source(kubeconfig: string): Promise<void> {
  console.log(`at start                  ${memory()}`)
  const found = await findSettings({ kubeconfig, env: {} })
  if (found.kind === 'problem') throw new Error(found.message)
  const abort = new AbortController()
  const tables = createTables()
  const { services, slices } = createInlets(tables)
  const connection = connect(found.settings)
  const begun = performance.now()
  const { done, states } = kubeSource({ connection, inlets: [services, slices], signal: abort.signal })
  if (process.env['DEBUG']) setInterval(() => console.log([...states().values()], memory()), 3000).unref()
  await until('listed', () => tables.services.synced && tables.slices.synced, { deadlineMs: 120_000, everyMs: 1 })
  const { user, system } = process.cpuUsage()
  console.log(`listed in ${seconds(begun)} s          ${memory()}, CPU ${((user + system) / 1e6).toFixed(2)} s`)
  await wait(5_000)
  console.log(`settled 5 s later         ${memory()}`)
  const before = process.cpuUsage()
  const last = [...tables.slices.entries()].length
  const changed = () =>
    [...tables.slices.entries()].filter(([, row]) => row.endpoints.addresses.startsWith('10.9.')).length
  await until('changes', () => changed() === last, { deadlineMs: 120_000, everyMs: 100 })
  const cpu = process.cpuUsage(before)
  console.log(`after ${last} changed slices  ${memory()}, CPU ${((cpu.user + cpu.system) / 1e6).toFixed(2)} s`)
  abort.abort()
  await done
  await connection.close()
}

async function change(api: ApiServer): Promise<void> {
  const { items } = await api.call('GET', `${SLICES}?limit=100000`)
  await inParallel(items.length, (i) => api.call('PUT', `${SLICES}/s-${i}`, slice(i, 9)))
}

async function inParallel(count: number, body: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await body(next++)
  }
  await Promise.all(Array.from({ length: 32 }, worker))
}

const service = (i: number) => ({
  metadata: { name: `s-${i}`, labels: { app: `s-${i}`, 'app.kubernetes.io/part-of': 'shop' } },
  spec: { selector: { app: `s-${i}` }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
})

const slice = (i: number, generation: number) => ({
  metadata: { name: `s-${i}`, labels: { 'kubernetes.io/service-name': `s-${i}` } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  endpoints: Array.from({ length: 100 }, (_, j) => ({
    addresses: [`10.${generation}.${((i * 100 + j) >> 8) & 255}.${(i * 100 + j) & 255}`],
    conditions: { ready: true, serving: true, terminating: false },
    nodeName: `node-${(i + j) % 100}.example.internal`,
    zone: `zone-${(i + j) % 3}`,
    targetRef: {
      kind: 'Pod',
      namespace: 'default',
      name: `s-${i}-5d5f4c9c7b-${j}`,
      uid: '00000000-0000-0000-0000-000000000000',
    },
  })),
})

function memory(): string {
  const status = readFileSync('/proc/self/status', 'utf8')
  const mb = (field: string) => `${Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)![1]) / 1024)} MB`
  return `RSS ${mb('VmRSS')}, peak ${mb('VmHWM')}`
}

const seconds = (since: number) => ((performance.now() - since) / 1000).toFixed(2)

const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices'

if (process.argv[2] === 'warm') void connect
else if (process.argv[2] === 'source') await source(process.argv[3]!)
else await main(Number(process.argv[2] ?? 10_000))
