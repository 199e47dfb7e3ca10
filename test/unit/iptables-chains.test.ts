/** Chains and jumps of ours as iptables-save tells them: where jumps belong, what is written, what is drift. */
import t from 'tap'
import type { Delta, Target } from '../../src/core/delta.ts'
import { Successor } from '../../src/core/successor.ts'
import { chainsText, FoundChains, judge, removalText, type Chains } from '../../src/kernel/chains.ts'

const OURS: Chains = {
  table: 'nat',
  rules: new Map([['FAIRLEAD-X', ['-s 10.0.0.0/8 -j MASQUERADE']]]),
  jumps: new Map([['POSTROUTING', '-j FAIRLEAD-X']]),
}
const RULE = '-A FAIRLEAD-X -s 10.0.0.0/8 -j MASQUERADE'

function found(...lines: readonly string[]): FoundChains {
  const chains = new FoundChains(['FAIRLEAD-X'])
  for (const line of lines) chains.line(line)
  return chains
}

t.test('what is right is not written', async (t) => {
  for (const before of [
    [],
    ['-A POSTROUTING -j FAIRLEAD-POSTROUTING'],
    ['-A POSTROUTING -j KUBE-POSTROUTING', '-A POSTROUTING -j FAIRLEAD-POSTROUTING', '-A POSTROUTING -o lo -j LOG'],
  ]) {
    const there = found(
      ':FAIRLEAD-X - [0:0]',
      ...before,
      '-A POSTROUTING -j FAIRLEAD-X',
      '-A POSTROUTING -j ACCEPT',
      RULE,
    )
    t.equal(chainsText(there, OURS), '')
    t.equal(judge(there, OURS), null)
  }
})

t.test('a jump goes behind those of other rooms, and before anybody’s that lets packets pass', async (t) => {
  for (const [rules, place] of [
    [[], 1],
    [['-j FAIRLEAD-POSTROUTING'], 2],
    [['-j DOCKER', '-j FAIRLEAD-POSTROUTING', '-j KUBE-POSTROUTING'], 3],
    [['-o lo -j ACCEPT', '-j FAIRLEAD-POSTROUTING'], 1],
    [['-j FAIRLEAD-POSTROUTING', '-d 10.0.0.1/32 -j RETURN'], 2],
  ] as const) {
    const lines = rules.map((rule) => `-A POSTROUTING ${rule}`)
    const text = chainsText(found(':FAIRLEAD-X - [0:0]', ...lines, RULE), OURS)
    t.equal(text, `*nat\n-I POSTROUTING ${place} -j FAIRLEAD-X\nCOMMIT\n`, rules.join('; '))
    // As it is after that.
    const after = [...lines.slice(0, place - 1), '-A POSTROUTING -j FAIRLEAD-X', ...lines.slice(place - 1)]
    t.equal(judge(found(':FAIRLEAD-X - [0:0]', ...after, RULE), OURS), null)
  }
})

t.test('what is not so is found, and written', async (t) => {
  const jump = '-A POSTROUTING -j FAIRLEAD-X'
  for (const [lines, what, text] of [
    [[], /is gone/, `:FAIRLEAD-X - [0:0]\n${RULE}\n-I POSTROUTING 1 -j FAIRLEAD-X\n`],
    [[':FAIRLEAD-X - [0:0]', jump], /other rules/, `:FAIRLEAD-X - [0:0]\n${RULE}\n`],
    [[':FAIRLEAD-X - [0:0]', RULE, RULE, jump], /other rules/, `:FAIRLEAD-X - [0:0]\n${RULE}\n`],
    [[':FAIRLEAD-X - [0:0]', RULE], /one jump/, '-I POSTROUTING 1 -j FAIRLEAD-X\n'],
    [
      [':FAIRLEAD-X - [0:0]', jump, jump, RULE],
      /one jump/,
      '-D POSTROUTING -j FAIRLEAD-X\n'.repeat(2) + '-I POSTROUTING 1 -j FAIRLEAD-X\n',
    ],
    [
      [':FAIRLEAD-X - [0:0]', jump, '-A GUEST -p tcp -g FAIRLEAD-X', RULE],
      /one jump/,
      '-D GUEST -p tcp -g FAIRLEAD-X\n',
    ],
    [
      [':FAIRLEAD-X - [0:0]', jump, '-A POSTROUTING -j FAIRLEAD-Y', RULE],
      /in time/,
      '-D POSTROUTING -j FAIRLEAD-X\n-I POSTROUTING 2 -j FAIRLEAD-X\n',
    ],
    [
      [':FAIRLEAD-X - [0:0]', '-A POSTROUTING -j ACCEPT', jump, RULE],
      /in time/,
      '-D POSTROUTING -j FAIRLEAD-X\n-I POSTROUTING 1 -j FAIRLEAD-X\n',
    ],
  ] as const) {
    const there = found(...lines)
    t.match(judge(there, OURS), what)
    t.equal(chainsText(there, OURS), `*nat\n${text}COMMIT\n`)
  }
})

t.test('chains of others are nobody’s business; ours go whole', async (t) => {
  const there = found(
    ':FAIRLEAD-X - [0:0]',
    ':FAIRLEAD-XY - [0:0]',
    '-A GUEST -j FAIRLEAD-XY',
    '-A GUEST -j FAIRLEAD-X',
    RULE,
  )
  t.equal(removalText('nat', there), '*nat\n:FAIRLEAD-X - [0:0]\n-D GUEST -j FAIRLEAD-X\n-X FAIRLEAD-X\nCOMMIT\n')
  t.ok(found(':FAIRLEAD-XY - [0:0]', '-A POSTROUTING -j FAIRLEAD-XY').isEmpty)
})

t.test('a successor removes what was there once it stands itself, once, and tries again', async (t) => {
  const done: string[] = []
  let trouble: string | null = 'apply'
  const say = (what: string): Promise<void> => {
    done.push(what)
    return trouble === what ? Promise.reject(new Error(what)) : Promise.resolve()
  }
  const target: Target<string> = {
    name: 'x',
    apply: () => say('apply').then(() => []),
    audit: () => Promise.resolve({ clean: true }),
    cleanup: () => say('cleanup'),
  }
  const successor = new Successor(target, () => say('remove'))
  const delta: Delta<string> = {
    from: 0,
    to: { epoch: 'a', number: 1 },
    put: new Map(),
    drop: new Set(),
    was: new Map(),
  }
  const apply = () => successor.apply(delta, AbortSignal.timeout(1000))
  t.equal(successor.name, 'x')
  await t.rejects(apply())
  t.same(done.splice(0), ['apply'], 'what was there stays while nothing else stands')
  trouble = 'remove'
  await t.rejects(apply())
  trouble = null
  await apply()
  await apply()
  t.same(done.splice(0), ['apply', 'remove', 'apply', 'remove', 'apply'])
  await successor.cleanup()
  t.same(done, ['cleanup', 'remove'])
})
