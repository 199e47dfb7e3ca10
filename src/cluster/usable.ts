import { familyOf, parseAddress, parseCidr, specialKind } from './address.ts'
import type { Family } from './protocol.ts'
import { list } from './raw.ts'
import { show, type Report } from './rejection.ts'

/** A canonical address that packets can be sent to; null (reported) for anything else. */
export function usableAddress(value: unknown, field: string, report: Report, family?: Family): string | null {
  const address = parseAddress(value)
  if (address === null) {
    const remedy = 'write four numbers of 0-255 without leading zeros (192.0.2.1), or an IPv6 address (2001:db8::1)'
    report.reject(field, `is ${show(value)}, not an IP address; left out`, remedy)
    return null
  }
  const special = specialKind(address)
  if (special !== null) {
    report.reject(
      field,
      `is ${address}, which is ${special}; left out`,
      'use the unicast address of a pod, host or service',
    )
    return null
  }
  if (family !== undefined && familyOf(address) !== family) {
    report.reject(
      field,
      `is ${address}, not IPv${family}; left out`,
      `put it into an object of family IPv${familyOf(address)}`,
    )
    return null
  }
  return address
}

/** Canonical CIDRs of a list, each once; what is none is reported and left out. */
export function usableCidrs(value: unknown, field: string, report: Report): readonly string[] {
  const found = new Set<string>()
  for (const [i, item] of list(value, field, CIDRS_MAX, report).entries()) {
    const range = parseCidr(item)
    if (range === null) {
      report.reject(`${field}[${i}]`, `is ${show(item)}, not a CIDR range; left out`, 'write it like 10.244.1.0/24')
      continue
    }
    if (!range.exact) report.reject(`${field}[${i}]`, `is ${show(item)}; taken as ${range.cidr}`, `write ${range.cidr}`)
    found.add(range.cidr)
  }
  return [...found]
}

const CIDRS_MAX = 100
