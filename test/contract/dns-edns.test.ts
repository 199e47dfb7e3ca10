/**
 * How servers must take EDNS and what they do not know: the list of the DNS flag day (ednscomp.isc.org, DNS compliance testing
 * of RFC 8906 8), as dig asks it, of a carrier with a zone of the cluster and one of a file.
 */
import t from 'tap'
import { describe, exec } from '../../src/kernel/exec.ts'
import { makeWorld, server } from './carrier-process.ts'

interface Case {
  readonly args: string
  readonly status?: string
  readonly answers?: RegExp
  readonly shows?: readonly RegExp[]
  readonly lacks?: readonly RegExp[]
}

const OPT = /OPT PSEUDOSECTION/
const VERSION = /; EDNS: version: 0,/
const SOA = /\sSOA\s/
const OPTION = /; OPT=100/
const MBZ = /MBZ/
const Z = /flags:[^;]* z|MBZ: 0x4/

const CASES: readonly Case[] = [
  { args: '+noedns soa', answers: SOA, lacks: [OPT] },
  { args: '+edns=0 soa', answers: SOA, shows: [VERSION] },
  { args: '+edns=100 +noednsneg soa', status: 'BADVERS', shows: [VERSION], lacks: [SOA] },
  { args: '+edns=0 +ednsopt=100 soa', answers: SOA, shows: [VERSION], lacks: [OPTION] },
  { args: '+edns=100 +noednsneg +ednsopt=100 soa', status: 'BADVERS', shows: [VERSION], lacks: [SOA, OPTION] },
  { args: '+edns=0 +noednsneg +ednsflags=0x80 soa', answers: SOA, shows: [VERSION], lacks: [MBZ] },
  { args: '+edns=100 +noednsneg +ednsflags=0x80 soa', status: 'BADVERS', shows: [VERSION], lacks: [SOA, MBZ] },
  { args: '+edns=0 +dnssec soa', answers: SOA, shows: [/; EDNS: version: 0, flags: do;/] },
  { args: '+edns=0 +dnssec +bufsize=512 +ignore dnskey', shows: [/; EDNS: version: 0, flags: do;/] },
  { args: '+noedns type1000' },
  { args: '+noedns +cd soa', answers: SOA, shows: [/flags: qr aa cd;/] },
  { args: '+noedns +ad soa', answers: SOA, lacks: [/flags:[^;]* ad/] },
  { args: '+noedns +zflag soa', answers: SOA, lacks: [Z] },
  { args: '+noedns +rec soa', answers: SOA, shows: [/flags: qr aa rd;/] },
  { args: '+noedns +opcode=15 +header-only', status: 'NOTIMP', lacks: [SOA] },
  { args: '+edns=0 +tcp soa', answers: SOA, shows: [VERSION] },
]

t.test('dig asks what servers get wrong', async (t) => {
  const { names, servers, controller, port } = await makeWorld(t)
  const { steps, ...block } = server(port)
  const soa = {
    type: 'SOA',
    mname: 'ns.example.org.',
    rname: 'host.example.org.',
    serial: 1,
    refresh: 7200,
    retry: 1800,
  } as const
  const apex = { set: 'f0', name: 'example.org.', records: [{ ...soa, expire: 86_400, minimum: 300, ttl: 3600 }] }
  names.put('f0 example.org.', apex)
  names.markSynced()
  const file = { plugin: 'file' as const, zones: [{ zone: 'example.org.', set: 'f0' }], fallthrough: null }
  servers.put('0', { ...block, steps: [...steps, file] })
  await controller.settled()
  for (const zone of ['cluster.local.', 'example.org.']) {
    for (const { args, status = 'NOERROR', answers, shows = [], lacks = [] } of CASES) {
      const words = args
        .split(' ')
        .map((word) => (word.startsWith('+') ? word : ['-t', word]))
        .flat()
      const asked = words.includes('+header-only') ? [] : ['-q', zone]
      const where = ['@127.0.0.1', '-p', String(port), '+tries=1', '+timeout=30', '+norec', '+noad', '+nocookie']
      const result = await exec(['dig', ...where, ...asked, ...words])
      if (result.kind !== 'done') return t.fail(describe(result))
      const said = result.stdout
      const title = `${zone} ${args}`
      t.match(said, new RegExp(`status: ${status},`), title)
      if (answers !== undefined) t.match(said.split('ANSWER SECTION:')[1] ?? '', answers, title)
      for (const shown of shows) t.match(said, shown, title)
      for (const lacked of lacks) t.notMatch(said, lacked, title)
      t.notMatch(said, /malformed|Got bad packet/i, title)
    }
  }
})
