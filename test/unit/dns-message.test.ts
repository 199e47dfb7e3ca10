import t from 'tap'
import { questionOf, readAnswer, typeNumber } from '../../src/dns/message.ts'

t.test('a question is what RFC 1035 wants', async (t) => {
  const asked = questionOf(0x1234, 'Web.Shop.', 33)!
  t.equal(asked.toString('hex'), '123401000001000000000001035765620453686f70000021000100002904d0000000000000')
  t.equal(questionOf(1, '.', 1)!.length, 12 + 5 + 11)
  for (const wrong of ['a..b.', `${'x'.repeat(64)}.`, 'a.'.repeat(128)]) t.equal(questionOf(1, wrong, 1), null, wrong)
  t.strictSame(['a', 'SRV', 'type65', 'HTTPS', 'TYPE0', 'TYPE65536', 'nonsense'].map(typeNumber), [
    1,
    33,
    65,
    65,
    null,
    null,
    null,
  ])
})

t.test('an answer in words', async (t) => {
  const name = (text: string): Buffer =>
    Buffer.concat([
      ...text.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label, 'latin1')])),
      Buffer.from([0]),
    ])
  const record = (type: number, data: Buffer): Buffer =>
    Buffer.concat([Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 30, 0, data.length]), data])
  const records = [
    record(1, Buffer.from([10, 0, 0, 1])),
    record(28, Buffer.from('fd000000000000000000000000000001', 'hex')),
    record(5, Buffer.from([0xc0, 12])),
    record(33, Buffer.concat([Buffer.from([0, 1, 0, 2, 0, 80]), name('a b.c')])),
    record(16, Buffer.from('\x05a"b\\c\x00', 'latin1')),
    record(15, Buffer.concat([Buffer.from([0, 10]), name('mx')])),
    record(99, Buffer.from([1, 2])),
  ]
  const head = Buffer.from([0, 7, 0x85, 0x83, 0, 1, 0, records.length, 0, 0, 0, 1])
  const opt = Buffer.from([0, 0, 41, 4, 208, 1, 0, 0, 0, 0, 0])
  const packet = Buffer.concat([head, name('web'), Buffer.from([0, 1, 0, 1]), ...records, opt])
  const { id, code, flags, answer, additional } = readAnswer(packet)
  t.strictSame(
    [id, code, flags, additional],
    [7, 'RCODE19', ['aa', 'rd', 'ra'], []],
    'the code has its high bits in OPT',
  )
  t.strictSame(
    answer.map(({ name, ttl, type, data }) => `${name} ${ttl} ${type} ${data}`),
    [
      'web. 30 A 10.0.0.1',
      'web. 30 AAAA fd00::1',
      'web. 30 CNAME web.',
      'web. 30 SRV 1 2 80 a\\032b.c.',
      'web. 30 TXT "a\\"b\\\\c" ""',
      'web. 30 MX 10 mx.',
      'web. 30 TYPE99 \\# 2 0102',
    ],
  )
  for (let length = 0; length < packet.length; length++)
    t.throws(() => readAnswer(packet.subarray(0, length)), RangeError, `cut to ${length}`)
  const circle = Buffer.concat([head, Buffer.from([0xc0, 12, 0, 1, 0, 1])])
  t.throws(() => readAnswer(circle), RangeError, 'pointers end')
})
