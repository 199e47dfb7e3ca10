/** The nftables target on the machine's kernel: another version than that of this host, most likely. A netns test as it is. */
import { inMachine } from './machine.ts'

process.exitCode = inMachine('test/netns/nftables.test.ts')
