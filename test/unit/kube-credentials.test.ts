/** Tokens and certificates that rotate. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createCredentials } from '../../src/cluster/source/kube/credentials.ts'
import { NO_TLS } from '../../src/cluster/source/kube/settings.ts'

const folder = await mkdtemp(join(tmpdir(), 'kube-credentials-'))
t.teardown(() => rm(folder, { recursive: true }))

t.test('a token file is read again after a while, and at once when the token was refused', async (t) => {
  const path = join(folder, 'token')
  let now = 1_000_000
  await writeFile(path, 'one\n')
  const credentials = createCredentials({ kind: 'token-file', path }, NO_TLS, () => now)
  t.equal(await credentials.authorization(), 'Bearer one')
  await writeFile(path, 'two')
  now += 9_999
  t.equal(await credentials.authorization(), 'Bearer one', 'a burst of requests costs one read')
  now += 1
  t.equal(await credentials.authorization(), 'Bearer two')
  await writeFile(path, 'three')
  credentials.refused()
  t.equal(await credentials.authorization(), 'Bearer three')
})

t.test('a token file that cannot be used is said, without its content, and tried again', async (t) => {
  const path = join(folder, 'bad')
  const credentials = createCredentials({ kind: 'token-file', path }, NO_TLS)
  await t.rejects(credentials.authorization(), /ENOENT/)
  await writeFile(path, '\n')
  await t.rejects(credentials.authorization(), /is empty/)
  await writeFile(path, 'secret\r\nX-Header: y')
  const error = await credentials.authorization().then(
    () => null,
    (error: Error) => error,
  )
  t.match(error?.message, /does not hold a token/)
  t.notMatch(error?.message, /secret/)
  await writeFile(path, 'good')
  t.equal(await credentials.authorization(), 'Bearer good')
})

t.test('certificates are read for each handshake', async (t) => {
  const file = join(folder, 'cert')
  const tls = { ...NO_TLS, cert: { file }, key: { data: 'KEY' }, serverName: 'api', insecure: true }
  const credentials = createCredentials({ kind: 'none' }, tls)
  await t.rejects(credentials.tls(), /ENOENT/)
  for (const cert of ['one', 'two']) {
    await writeFile(file, cert)
    t.same(await credentials.tls(), { cert, key: 'KEY', servername: 'api', rejectUnauthorized: false })
  }
  t.equal(await credentials.authorization(), null)
})

t.test('a password', async (t) => {
  const credentials = createCredentials({ kind: 'basic', user: 'a', password: 'ä:b' }, NO_TLS)
  t.equal(await credentials.authorization(), `Basic ${Buffer.from('a:ä:b').toString('base64')}`)
})
