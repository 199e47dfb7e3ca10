/** EndpointSlices written by hand: what the API server would not take. */
import { familyOf, parseAddress, specialKind } from '../../../cluster/address.ts'
import { cut, type ApiObject } from '../object.ts'
import { byDefault, listOf, type Problems } from './problems.ts'

export function defaultEndpointSlice(slice: ApiObject): void {
  byDefault(slice, 'endpoints', [])
  for (const port of listOf(slice['ports'])) {
    byDefault(port, 'name', '')
    byDefault(port, 'protocol', 'TCP')
  }
}

export function checkEndpointSlice(slice: ApiObject, previous: ApiObject | null, problems: Problems): void {
  problems.oneOf('addressType', slice['addressType'], ['IPv4', 'IPv6', 'FQDN'])
  if (previous !== null && previous['addressType'] !== slice['addressType']) {
    problems.fixed('addressType', 'cannot change', 'delete the slice and make a new one')
  }
  const endpoints = listOf(slice['endpoints'])
  if (endpoints.length > ENDPOINTS_MAX) {
    problems.add('endpoints', `has ${endpoints.length} endpoints`, `put at most ${ENDPOINTS_MAX} into one slice`)
  }
  for (const [i, endpoint] of endpoints.entries())
    checkEndpoint(`endpoints[${i}]`, endpoint['addresses'], slice, problems)
  for (const [i, port] of listOf(slice['ports']).entries()) {
    if (port['port'] !== undefined && port['port'] !== null) problems.port(`ports[${i}].port`, port['port'])
    problems.oneOf(`ports[${i}].protocol`, port['protocol'], ['TCP', 'UDP', 'SCTP'])
  }
}

function checkEndpoint(at: string, addresses: unknown, slice: ApiObject, problems: Problems): void {
  if (!Array.isArray(addresses) || addresses.length === 0) {
    return problems.add(`${at}.addresses`, 'is empty', 'write one address')
  }
  if (slice['addressType'] === 'FQDN') return
  for (const [i, text] of addresses.entries()) {
    const address = parseAddress(text)
    const wrong = address === null ? 'not an IP address' : specialKind(address)
    if (wrong !== null)
      problems.add(`${at}.addresses[${i}]`, `${cut(text)} is ${wrong}`, 'use the address of a pod or host')
    else if (`IPv${familyOf(address!)}` !== slice['addressType']) {
      problems.add(`${at}.addresses[${i}]`, `${cut(text)} is not ${slice['addressType']}`, 'use one slice a family')
    }
  }
}

const ENDPOINTS_MAX = 1000
