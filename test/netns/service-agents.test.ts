/** Two agents on one node by mistake: said, and no connection fails. And what an agent says of how quickly it programs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import t from 'tap'
import { enterWorld, inside, within } from './world.ts'
await enterWorld()

import { carrier } from '../../src/kernel/carrier.ts'
import { exec, start } from '../../src/kernel/exec.ts'
import { endpoint, NODES, service, SERVICE_CIDR, slice, type Raw } from '../contract/service-objects.ts'
import { OUTSIDE, POD } from '../contract/service-room.ts'
import { Hosts } from './hosts.ts'
import { until } from './stage.ts'

const folder = mkdtempSync(join(tmpdir(), 'fairlead-agents-'))
const hosts = new Hosts()
const IP = '10.96.0.10'
const [A1, B1] = ['10.244.1.10', '10.244.2.10'] as const
const children: ChildProcess[] = []
const said = new Map<string, string[]>()
t.setTimeout(180_000)
t.jobs = 1
t.teardown(() => {
  hosts.close()
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

t.test('the hosts stand', { timeout: 120_000 }, async () => {
  await hosts.build([POD, OUTSIDE, A1, B1], [IP])
  for (const pod of [A1, B1]) {
    const server = begin([...within(hosts.name(pod)), carrier, 'load', 'serve', '--listen', 'tcp:8080'])
    await line(server)
  }
})

t.test('two agents: each is told of the other, and no connection fails', { timeout: 90_000 }, async (t) => {
  write([A1, B1])
  await agent('one')
  await until('it serves', async () => (await asked()) === 0)
  const loads = [POD, OUTSIDE].map((from) =>
    begin([
      ...within(hosts.name(from)),
      carrier,
      'load',
      'steady',
      '--to',
      `${IP}:80`,
      '--rate',
      '100',
      '--from',
      from,
    ]),
  )
  for (const load of loads) await line(load)
  const second = await agent('two')
  await until('both know', () =>
    ['one', 'two'].every((name) => said.get(name)!.some((each) => /another agent/.test(each))),
  )
  for (const endpoints of [[B1], [A1, B1]]) {
    write(endpoints)
    await until(`they follow: ${endpoints.join()}`, async () => {
      const listing = await exec(['nft', 'list', 'table', 'inet', 'fairlead_service'])
      return listing.kind === 'done' && [A1, B1].every((each) => endpoints.includes(each) === listing.stdout.includes(`${each} . 8080`)) // prettier-ignore
    })
  }
  second.kill('SIGKILL')
  const quiet = async (): Promise<boolean> => {
    const { targets } = (await get('one', 'statusz')) as {
      targets: { name: string; pending: number; drift: unknown }[]
    }
    const audits = await inside('n1', 'nft', '-a', 'list', 'table', 'inet', 'fairlead_service')
    await new Promise((resolve) => setTimeout(resolve, 300))
    const later = await inside('n1', 'nft', '-a', 'list', 'table', 'inet', 'fairlead_service')
    return targets.find(({ name }) => name === 'nftables')?.pending === 0 && audits === later
  }
  await until('the one that stays comes to rest', quiet)
  for (const load of loads) {
    load.stdin!.end()
    await new Promise((resolve) => load.once('close', resolve))
    const { failedTotal, connections, longestGapMs } = JSON.parse(lines.get(load)!.at(-1)!) as Record<string, number>
    t.equal(failedTotal, 0, `${connections} connections, longest gap ${longestGapMs} ms`)
  }
})

t.test('network_programming_duration_seconds counts changes, not what was there', { timeout: 60_000 }, async (t) => {
  const count = async (): Promise<number> => {
    const text = (await get('one', 'metrics')) as string
    const found = /^kubeproxy_network_programming_duration_seconds_count\{ip_family="IPv4"\} (\d+)$/m.exec(text)
    return Number(found?.[1] ?? 0)
  }
  for (const name of ['one', 'two']) said.set(name, [])
  for (const child of children.splice(2)) child.kill('SIGKILL')
  write([A1, B1], new Date().toISOString())
  await agent('one')
  await until('it serves', async () => (await asked()) === 0)
  t.equal(await count(), 0)
  write([A1], new Date().toISOString())
  await until('counted', async () => (await count()) === 1)
  t.equal(await count(), 1)
})

function write(endpoints: readonly string[], triggered?: string): void {
  const pods: Raw = slice('web-1', 'web', endpoints.map((each) => endpoint(each))) // prettier-ignore
  if (triggered !== undefined)
    pods['metadata'].annotations = { 'endpoints.kubernetes.io/last-change-trigger-time': triggered }
  const items = [...NODES, SERVICE_CIDR, service('web', [IP]), pods]
  writeFileSync(join(folder, 'objects.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
}

/** Starts an agent that answers on the socket `name`; it has taken its rows to the kernel once this returns. */
async function agent(name: string): Promise<ChildProcess> {
  const options = ['--directory', join(folder, 'objects.json'), '--node', 'n1', '--state-dir', '', '--log', 'info']
  const child = begin([process.execPath, MAIN, 'agent', ...options, '--status-socket', join(folder, `${name}.sock`)])
  said.set(name, [])
  createInterface({ input: child.stderr! }).on('line', (text) => said.get(name)?.push(text))
  await until(`agent ${name} answers`, async () => {
    if (child.exitCode !== null) throw new Error(`agent ${name} ended: ${said.get(name)!.join('\n')}`)
    const status = (await get(name, 'statusz')) as { targets?: { name: string; appliedAt: string | null }[] } | null
    return status?.targets?.some((target) => target.name === 'nftables' && target.appliedAt !== null) === true
  })
  return child
}

async function get(name: string, what: string): Promise<unknown> {
  const result = await exec([
    'curl',
    '-s',
    '-m',
    '5',
    '--unix-socket',
    join(folder, `${name}.sock`),
    `http://agent/${what}`,
  ])
  if (result.kind !== 'done') return null
  return what === 'metrics' ? result.stdout : (JSON.parse(result.stdout) as unknown)
}

/** Failures of one connection: 0 or 1. */
async function asked(): Promise<number> {
  const args = ['load', 'connect', '--to', `${IP}:80`, '--count', '1', '--from', POD, '--timeout-ms', '500']
  const result = await exec([...within(hosts.name(POD)), carrier, ...args] as unknown as readonly [string])
  return result.kind === 'done' ? (JSON.parse(result.stdout) as { failedTotal: number }).failedTotal : 1
}

const lines = new Map<ChildProcess, string[]>()

function begin(command: readonly string[]): ChildProcess {
  const child = start(command as readonly [string], { stdio: ['pipe', 'pipe', 'pipe'] })
  children.push(child)
  const all: string[] = []
  lines.set(child, all)
  createInterface({ input: child.stdout! }).on('line', (text) => all.push(text))
  return child
}

const line = (child: ChildProcess): Promise<void> =>
  until('it says that it is ready', () => {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`)
    return lines.get(child)!.length > 0
  })

const MAIN = join(import.meta.dirname, '../../src/main.ts')
