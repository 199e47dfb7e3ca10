/** The service contract on a real kernel: every packet of every case is sent and must fare as the case (and the fake) says. */
import t from 'tap'
import { enterWorld } from './world.ts'
await enterWorld()

import { serviceCases } from '../contract/service-cases.ts'
import { contract } from './contract.ts'

t.setTimeout(600_000)
contract(t, serviceCases)
