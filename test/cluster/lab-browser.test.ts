/** What `npm start` ends on opens in a real browser: Chromium without a window, by name, over http and https. */
import { createHash, X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import t, { type Test } from 'tap'
import { exec } from '../../src/kernel/exec.ts'
import { everybody, LabRun } from '../netns/labrun.ts'

/** Debian's, of the package of that name. */
const BROWSER = 'chromium-headless-shell'

t.setTimeout(570_000)
t.jobs = 1
const found = await exec([BROWSER, '--version'])
const skip = found.kind === 'missing' ? `${BROWSER} is missing: bin/setup browser` : false

/** Of what is given to `up`: what to open, and with what. */
async function start(t: Test, name: string, ...manifests: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-browser-'))
  const lab = new LabRun(everybody[0]!, {})
  t.teardown(async () => {
    await lab.remove()
    rmSync(folder, { recursive: true, force: true })
  })
  const up = await lab.cli('up', '--detach', ...manifests)
  t.equal(up.kind, 'done')
  const page = up.kind === 'done' ? up.stdout : ''
  const line = new RegExp(
    `^ {2}(http://${name}\\.localhost:\\d+) {2}(https://${name}\\.localhost:\\d+) {2}Ingress ${name}$`,
    'm',
  )
  const [, http, https] = line.exec(page) ?? [page]
  const ca = readFileSync(/ by (\S+ca\.crt): /.exec(page)![1]!)
  const authority = new X509Certificate(ca)
  const key = createHash('sha256')
    .update(authority.publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64')

  /** The page as it stands in the window, as HTML. */
  const open = async (url: string, ...flags: readonly string[]): Promise<string> => {
    const quiet = ['--headless', '--disable-gpu', '--disable-dev-shm-usage', `--user-data-dir=${folder}/${++profiles}`]
    // Its own sandbox wants namespaces that root, or a container, may not have; the page is ours.
    const all = [...quiet, '--no-sandbox', '--no-proxy-server', ...flags, '--dump-dom', url]
    const result = await exec([BROWSER, ...all], { timeoutMs: 60_000 })
    return result.kind === 'done' ? result.stdout : JSON.stringify(result)
  }
  let profiles = 0
  /** The browser is told whose key to trust, and looks at no signature then. This does. */
  const isVerified = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect({
        host: '127.0.0.1',
        port: Number(new URL(https!).port),
        servername: `${name}.localhost`,
        ca,
      })
      socket.once('secureConnect', () => resolve(socket.destroy().authorized))
      socket.once('error', () => resolve(false))
    })
  return { http: http!, https: https!, open, isVerified, trust: `--ignore-certificate-errors-spki-list=${key}` }
}

t.test('the shop of the example', { skip }, async (t) => {
  const { http, https, open, trust, isVerified } = await start(t, 'shop')
  t.match(await open(http), /<pre[^>]*>pod: web-/)
  t.match(await open(https, trust), /<pre[^>]*>pod: web-[^]*x-forwarded-proto: https/)
  t.equal(await isVerified(), true, 'its certificate is signed by the authority, for its name')
  t.match(await open(`${http}/api/x`), /<pre[^>]*>pod: api-[^]*path: \/api\/x/)
  t.notMatch(await open(https), /pod: web-/, 'not without the authority')
})

const real = join(process.env['FAIRLEAD_REAL'] ?? '../shared/real', 'online-boutique.yaml')
const noBoutique = existsSync(real) ? false : `${real} is not there`

t.test('the boutique', { skip: skip || noBoutique }, async (t) => {
  const ingress = join(import.meta.dirname, '../../manifests/example-boutique.yaml')
  const { http, https, open, trust, isVerified } = await start(t, 'boutique', real, ingress)
  t.match(await open(http), /<pre[^>]*>pod: frontend-/)
  t.match(await open(https, trust), /<pre[^>]*>pod: frontend-[^]*x-forwarded-proto: https/)
  t.equal(await isVerified(), true, 'its certificate is signed by the authority, for its name')
})
