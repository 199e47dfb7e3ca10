/** `npm run soak [-- --minutes N]`: the shipped DNS for so long, ten minutes unless told; exits 1 when an answer was wrong or memory grew. */
import { parseArgs } from 'node:util'
import { soak } from './dns.ts'

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } })
const minutes = Number(values.minutes)
if (!(minutes > 0 && minutes <= 24 * 60)) {
  console.error(`fairlead: --minutes ${values.minutes} is no number of minutes up to a day`)
  process.exit(2)
}
const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort())
const { problems, summary } = await soak(minutes * 60_000, stop.signal)
console.log(summary)
for (const problem of problems) console.error(`FAILED: ${problem}`)
console.log(problems.length === 0 ? '1 passed, 0 failed' : '0 passed, 1 failed')
process.exitCode = problems.length === 0 ? 0 : 1
