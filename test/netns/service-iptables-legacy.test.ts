/** The service contract by the iptables target, in the legacy variant: the same cases as for nftables. */
import t from 'tap'
import { enterWorld } from './world.ts'
await enterWorld()

import { IptablesTarget } from '../../src/service/iptables/target.ts'
import { serviceCases } from '../contract/service-cases.ts'
import { contract } from './contract.ts'

t.setTimeout(600_000)
contract(t, serviceCases, ['tcp', 'udp'], () => new IptablesTarget({ variant: 'legacy' }))
