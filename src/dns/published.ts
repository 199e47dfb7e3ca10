import type { EndpointList } from '../cluster/endpointlist.ts'
import { dashed } from './names.ts'

/** An endpoint as DNS shows it: a ready one (publishNotReadyAddresses arrives as ready). */
export interface Published {
  readonly address: string
  /** Its label: hostname, else the pod's name where it was asked for, else its address with dashes. */
  readonly label: string
}

/** In the order of the list. */
export function publishedOf(list: EndpointList): readonly Published[] {
  if (!hasReady(list)) return []
  const hostnames = list.hostnames?.split(' ')
  const pods = list.pods?.split(' ')
  const found: Published[] = []
  for (const [i, address] of list.addresses.split(' ').entries()) {
    if (!isReady(list, i)) continue
    found.push({ address, label: hostnames?.[i] || pods?.[i] || dashed(address) })
  }
  return found
}

export function hasReady(list: EndpointList): boolean {
  for (let i = 0; i < list.count; i++) if (isReady(list, i)) return true
  return false
}

/** A digit of EndpointList.states. */
const isReady = (list: EndpointList, i: number): boolean => (list.states.charCodeAt(i) & 4) !== 0
