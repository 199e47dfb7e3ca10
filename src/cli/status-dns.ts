/** The part of `fairlead status` that is about the DNS: controllers, and the carriers beside them. */
import type { CarrierReport, DnsReport } from '../status/dnsreport.ts'
import { columns } from './columns.ts'
import { serversOf } from './dns-servers.ts'
import { Failure } from './failure.ts'
import { ago, reportProblems } from './status-report.ts'

export interface AskedDns {
  readonly server: string
  readonly report: DnsReport | null
  readonly why: string
}

/** `address` of a controller; undefined: all of the cluster that runs here. */
export async function askDns(address: string | undefined): Promise<readonly AskedDns[]> {
  return Promise.all(
    (await serversOf(address)).map(async ({ name, api }): Promise<AskedDns> => {
      try {
        return { server: name, report: await api.must<DnsReport>({ path: '/dns/status' }), why: '' }
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        return { server: name, report: null, why: 'its controller does not answer; the carrier may answer on' }
      }
    }),
  )
}

/** Two tables: servers, and what they hold. */
export function printDns(
  asked: readonly AskedDns[],
  write: (text: string) => void,
  { colour, wide, nowMs }: { readonly colour: boolean; readonly wide: boolean; readonly nowMs: number },
): void {
  if (asked.length === 0) return
  write('\n')
  const more = wide ? ['VERSION', 'CONNECTIONS', 'COREFILE'] : []
  const header = ['DNS', 'SYNCED', 'CONTROLLER', 'WORKER', 'STARTS', 'UPSTREAMS', 'READERS', 'MEMORY', 'UP', ...more]
  columns(header, write, colour).print(asked.map((each) => serverCells(each, wide, nowMs)))
  const tables = asked.flatMap(({ server, report }) => (report?.carrier ? tableCells(server, report, wide) : []))
  if (tables.length === 0) return
  write('\n')
  columns(
    ['DNS', 'TABLE', 'ROWS', 'HELD', 'PENDING', 'REFUSED', ...(wide ? ['OCTETS', 'ON'] : [])],
    write,
    colour,
  ).print(tables)
}

function serverCells({ server, report }: AskedDns, wide: boolean, nowMs: number): string[] {
  if (report === null) return [server, '-', 'no', ...Array<string>(6 + (wide ? 3 : 0)).fill('-')]
  const { controller, carrier, corefile } = report
  const down = carrier?.upstreams.filter((upstream) => upstream.down).length ?? 0
  return [
    server,
    carrier?.synced ? 'yes' : 'no',
    carrier === null ? 'no carrier' : 'connected',
    carrier === null ? '-' : carrier.worker.pid === null ? 'no' : String(carrier.worker.pid),
    carrier === null ? '-' : String(carrier.worker.starts),
    carrier === null ? '-' : `${carrier.upstreams.length}${down > 0 ? ` (${down} down)` : ''}`,
    String(carrier?.readers ?? '-'),
    `${Math.round(controller.memoryBytes / 1e6)} MB`,
    ago(controller.startedAt, nowMs),
    ...(wide
      ? [
          `${controller.version}/${carrier?.version ?? '-'}`,
          String(carrier?.connections ?? '-'),
          corefile.digest === null ? 'none' : corefile.digest.slice(0, DIGEST_SHOWN),
        ]
      : []),
  ]
}

function tableCells(server: string, { controller, carrier }: DnsReport, wide: boolean): string[][] {
  return carrier!.tables.map(({ name, rows, revision, octets, on }) => {
    const target = controller.targets.find((each) => each.name === `carrier ${name}`)
    return [
      ...[server, name, String(rows)],
      revision === null ? 'nothing' : `${revision.epoch}/${revision.number}`,
      String(target?.pending ?? '-'),
      String(target?.refused.count ?? '-'),
      ...(wide ? [String(octets), on] : []),
    ]
  })
}

/** What a person should look at, with the server. */
export function dnsProblems(asked: readonly AskedDns[]): string[] {
  return asked.flatMap(({ server, report, why }) =>
    (report === null ? [why] : problemsOf(report)).map((line) => `${server}: ${line}`),
  )
}

function problemsOf({ controller, corefile, carrier, why }: DnsReport): string[] {
  const at = corefile.error?.split(': ', 1)[0] ?? '\n'
  return [
    ...(corefile.error === null
      ? []
      : [
          `the Corefile cannot be used${corefile.digest === null ? '' : ', what was in force stays'}: ${corefile.error}`,
        ]),
    ...(carrier === null ? [`no carrier: ${why}`] : carrierProblems(carrier)),
    // What of the Corefile is wrong is said above.
    ...reportProblems({ ...controller, healthy: true }).filter((line) => !line.includes(at)),
  ]
}

function carrierProblems({ worker, synced, upstreams, closed }: CarrierReport): string[] {
  const down = upstreams.filter((upstream) => upstream.down)
  return [
    ...(worker.pid === null ? [`no worker serves (${worker.starts} were started): see the carrier's log`] : []),
    ...(synced ? [] : ['the carrier has no names yet: it waits for the API server, and has none on disk']),
    ...(down.length === 0
      ? []
      : [
          `upstreams are down: ${down.map(({ address }) => address).join(', ')}: they are asked again and again until they answer`,
        ]),
    ...closed.map((line) => `the carrier cannot listen: ${line}`),
  ]
}

const DIGEST_SHOWN = 12
