import t from 'tap'
import { contains, mergeCidrs, parseAddress, parseCidr, specialKind } from '../../src/cluster/address.ts'

t.test('addresses become canonical', async (t) => {
  const same = ['0.0.0.0', '10.0.0.1', '255.255.255.255', '::', '::1', 'fd00::1', '2001:db8::1:0:0:1']
  for (const text of same) t.equal(parseAddress(text), text)
  // RFC 5952: lower case, no leading zeros, the longest run of zeros (the first of two), never one zero alone.
  t.equal(parseAddress('2001:DB8:0:0:1:0:0:1'), '2001:db8::1:0:0:1')
  t.equal(parseAddress('2001:0db8::0001'), '2001:db8::1')
  t.equal(parseAddress('2001:db8:0:1:1:1:1:1'), '2001:db8:0:1:1:1:1:1')
  t.equal(parseAddress('2001:db8::1:1:1:1:1'), '2001:db8:0:1:1:1:1:1')
  t.equal(parseAddress('0:0:0:0:0:0:0:1'), '::1')
  t.equal(parseAddress('64:ff9b::192.0.2.33'), '64:ff9b::c000:221')
})

t.test('what is no address, or a trap, is none', async (t) => {
  const bad = [
    '010.0.0.1',
    '127.1',
    '0x7f.1',
    '1',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '1.2.3.4 ',
    ' 1.2.3.4',
    '',
    'a',
    '1.2.3.-4',
  ]
  const bad6 = ['::ffff:10.0.0.1', '::ffff:a00:1', 'fe80::1%eth0', ':::', '1::2::3', '12345::', '[::1]', '::1/64']
  for (const text of [...bad, ...bad6]) t.equal(parseAddress(text), null, JSON.stringify(text))
  for (const value of [undefined, null, 1, {}, [], ['10.0.0.1'], '1'.repeat(1_000_000)])
    t.equal(parseAddress(value), null)
})

t.test('special addresses are known by their kind', async (t) => {
  const kinds: Record<string, string | null> = {
    ...{ '0.0.0.0': 'unspecified', '127.0.0.1': 'loopback', '127.255.0.1': 'loopback', '169.254.1.1': 'link-local' },
    ...{
      '224.0.0.1': 'multicast',
      '239.255.255.255': 'multicast',
      '255.255.255.255': 'broadcast',
      '::': 'unspecified',
    },
    ...{
      '::1': 'loopback',
      'fe80::1': 'link-local',
      'febf::1': 'link-local',
      'ff02::1': 'multicast',
      'ff00::': 'multicast',
    },
    ...{
      '1.0.0.1': null,
      '10.0.0.1': null,
      '126.0.0.1': null,
      '128.0.0.1': null,
      '169.253.0.1': null,
      '169.255.0.1': null,
    },
    ...{
      '223.255.255.255': null,
      '240.0.0.1': null,
      'fd00::1': null,
      'fec0::1': null,
      'fe8::1': null,
      'ff:1::': null,
      '::2': null,
    },
  }
  for (const [address, kind] of Object.entries(kinds)) t.equal(specialKind(address), kind, address)
})

t.test('ranges become canonical', async (t) => {
  t.same(parseCidr('10.0.0.0/8'), { cidr: '10.0.0.0/8', exact: true })
  t.same(parseCidr('10.1.2.3/8'), { cidr: '10.0.0.0/8', exact: false })
  t.same(parseCidr(' 10.0.0.0/8\n'), { cidr: '10.0.0.0/8', exact: true })
  t.same(parseCidr('0.0.0.0/0'), { cidr: '0.0.0.0/0', exact: true })
  t.same(parseCidr('192.0.2.1/32'), { cidr: '192.0.2.1/32', exact: true })
  t.same(parseCidr('::/0'), { cidr: '::/0', exact: true })
  t.same(parseCidr('FD00:0:0:0::1/64'), { cidr: 'fd00::/64', exact: false })
  t.same(parseCidr('fd00:244::/63'), { cidr: 'fd00:244::/63', exact: true })
  const bad = [
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0/8',
    '010.0.0.0/8',
    '::/129',
    '::ffff:10.0.0.0/104',
    '/8',
    '',
    'x/8',
  ]
  for (const text of [...bad, 8, null, {}]) t.equal(parseCidr(text), null, JSON.stringify(text))
})

t.test('ranges that cover others', async (t) => {
  t.ok(contains('10.0.0.0/8', '10.1.0.0/16'))
  t.ok(contains('10.0.0.0/8', '10.0.0.0/8'))
  t.ok(contains('10.0.0.0/8', '10.255.255.255'))
  t.notOk(contains('10.1.0.0/16', '10.0.0.0/8'))
  t.notOk(contains('0.0.0.0/0', 'fd00::/8'))
  t.ok(contains('fd00::/8', 'fdff::1'))
  t.same(
    mergeCidrs(['10.1.0.0/16', 'fd00::/8', '10.0.0.0/8', '192.0.2.0/24', '10.0.0.0/8', '10.128.0.0/9', 'fd00::/64']),
    {
      merged: ['10.0.0.0/8', '192.0.2.0/24', 'fd00::/8'],
      covered: [
        ['10.0.0.0/8', '10.0.0.0/8'],
        ['10.1.0.0/16', '10.0.0.0/8'],
        ['10.128.0.0/9', '10.0.0.0/8'],
        ['fd00::/64', 'fd00::/8'],
      ],
    },
  )
  t.same(mergeCidrs(['9.0.0.0/8', '10.0.0.0/8']).merged, ['9.0.0.0/8', '10.0.0.0/8'], 'numeric order')
})
