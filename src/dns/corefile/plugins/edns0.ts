import type { Token } from '../lexer.ts'
import { quote } from '../problem.ts'
import type { Setting } from '../setting.ts'
import type { Change, Edns0Data, Edns0Option, Edns0Variable } from '../step.ts'
import { number, oneOf } from '../value.ts'
import { isLabel, warnOfLabel } from './metadata.ts'

type Said = Pick<Setting, 'problems' | 'warnings'>

/** `edns0 local|nsid|subnet set|append|replace|unset ... [revert]` of `rewrite`. */
export function edns0(words: readonly Token[], at: Token, { problems, warnings }: Said): Change | null {
  const [first, second, ...others] = words
  if (first === undefined || second === undefined)
    return problems.report(at, 'an edns0 rule takes an option and an action', 'write edns0 local|nsid|subnet set ...')
  const kind = oneOf(first, 'option of EDNS', ['local', 'nsid', 'subnet'], problems)
  const action = oneOf(second, 'action on an option', ['set', 'append', 'replace', 'unset'], problems)
  if (kind === null || action === null) return null
  const revert = action !== 'unset' && others.at(-1)?.text === 'revert'
  const rest = revert ? others.slice(0, -1) : others
  const wanted = COUNTS[kind] - (action !== 'unset' ? 0 : kind === 'nsid' ? 0 : kind === 'local' ? 1 : 2)
  if (rest.length !== wanted)
    return problems.report(second, `edns0 ${kind} ${action} has ${rest.length} words after it`, `give it ${wanted}`)
  const option = read[kind](rest, { problems, warnings })
  return option && { field: 'edns0', action, option, revert }
}

const read: Readonly<Record<'local' | 'nsid' | 'subnet', (words: readonly Token[], said: Said) => Edns0Option | null>> =
  {
    nsid: () => ({ kind: 'nsid' }),
    subnet: ([ipv4, ipv6], { problems }) => {
      const ipv4Bits = ipv4 ? number(ipv4, 'the length of IPv4 subnets', 0, 32, problems) : 0
      const ipv6Bits = ipv6 ? number(ipv6, 'the length of IPv6 subnets', 0, 128, problems) : 0
      return ipv4Bits === null || ipv6Bits === null ? null : { kind: 'subnet', ipv4Bits, ipv6Bits }
    },
    local: ([code, data], { problems, warnings }) => {
      // Go's ParseUint with base 0.
      const value = /^(?:0[xX][0-9A-Fa-f]+|0[bB][01]+|0[oO]?[0-7]*|[1-9][0-9]*)$/.test(code!.text)
        ? Number(code!.text.replace(/^0(?=[0-7])/, '0o'))
        : NaN
      if (!(value <= 65_535))
        return problems.report(code!, `${quote(code!.text)} is no option code`, 'write 0xffee or 65518')
      const found = data === undefined ? { octets: '' } : dataOf(data, { problems, warnings })
      return found && { kind: 'local', code: value, data: found }
    },
  }

/** `0x61626364`, `{client_ip}`, `{kubernetes/client-namespace}`, or text. */
function dataOf(word: Token, { problems, warnings }: Said): Edns0Data | null {
  const { text } = word
  if (/^\{.*\}$/s.test(text)) {
    const variable = VARIABLES.get(text.slice(1, -1))
    if (variable !== undefined) return { variable }
    if (isLabel(text.slice(1, -1))) {
      warnOfLabel(text.slice(1, -1), word, 'rewrite', warnings)
      return { metadata: text.slice(1, -1) }
    }
    return problems.unknown({ ...word, text: text.slice(1, -1) }, 'variable', [...VARIABLES.keys()])
  }
  if (!text.startsWith('0x')) return { octets: Buffer.from(text).toString('hex') }
  if (/^0x(?:[0-9A-Fa-f]{2})*$/.test(text)) return { octets: text.slice(2).toLowerCase() }
  return problems.report(word, `${quote(text)} is not hexadecimal`, 'write two digits for each octet')
}

const COUNTS = { local: 2, nsid: 0, subnet: 2 } as const
const VARIABLES: ReadonlyMap<string, Edns0Variable> = new Map<string, Edns0Variable>([
  ['qname', 'qname'],
  ['qtype', 'qtype'],
  ['client_ip', 'clientIp'],
  ['client_port', 'clientPort'],
  ['protocol', 'protocol'],
  ['server_ip', 'serverIp'],
  ['server_port', 'serverPort'],
])
