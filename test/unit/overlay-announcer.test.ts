import t from 'tap'
import type { Answer, RequestOptions } from '../../src/cluster/source/kube/connection.ts'
import type { Delta } from '../../src/core/delta.ts'
import type { AnnouncementRow } from '../../src/overlay/announcement.ts'
import { Announcer } from '../../src/overlay/announcer.ts'

const signal = new AbortController().signal
const annotations: AnnouncementRow = { kind: 'annotations', node: 'n1', annotations: { a: 'b' } }
const condition: AnnouncementRow = { kind: 'condition', node: 'n1' }
const delta = (...rows: readonly AnnouncementRow[]): Delta<AnnouncementRow> => ({
  ...{ from: 0, to: { epoch: 'test', number: 1 } },
  ...{ put: new Map(rows.map((row) => [row.kind, row])), drop: new Set<string>(), was: new Map() },
})

/** An API server that answers as told, by path. */
function server(status: (path: string) => number) {
  const asked: (RequestOptions & { readonly path: string })[] = []
  const request = (path: string, options: RequestOptions): Promise<Answer> => {
    asked.push({ ...options, path })
    const code = status(path)
    const problem = { kind: 'refused', status: code, message: `status ${code}`, remedy: '' }
    return Promise.resolve((code === 200 ? { kind: 'ok', body: [] } : { kind: 'failed', problem }) as unknown as Answer)
  }
  return { asked, request }
}

t.test('annotations are merged, the condition once the kernel has the overlay', async (t) => {
  const api = server(() => 200)
  const programmed = Promise.withResolvers<void>()
  const announcer = new Announcer(api, () => programmed.promise)
  const applied = announcer.apply(delta(annotations, condition), signal)
  await new Promise((resolve) => setImmediate(resolve))
  t.match(api.asked, [
    {
      ...{ path: '/api/v1/nodes/n1', method: 'PATCH', contentType: 'application/merge-patch+json' },
      body: { metadata: { annotations: { a: 'b' } } },
    },
  ])
  t.equal(api.asked.length, 1, 'no pod is let come yet')
  programmed.resolve()
  t.same(await applied, [])
  t.match(api.asked[1], {
    ...{ path: '/api/v1/nodes/n1/status', contentType: 'application/strategic-merge-patch+json' },
    body: { status: { conditions: [{ type: 'NetworkUnavailable', status: 'False' }] } },
  })
})

t.test('what may not be written is said, with what is lacking; anything else is tried again', async (t) => {
  const forbidden = new Announcer(
    server((path) => (path.endsWith('/status') ? 403 : 200)),
    () => Promise.resolve(),
  )
  t.match(await forbidden.apply(delta(annotations, condition), signal), [
    { key: 'condition', reason: 'status 403', remedy: /the verb patch on nodes\/status/ },
  ])
  const broken = new Announcer(
    server(() => 500),
    () => Promise.resolve(),
  )
  await t.rejects(broken.apply(delta(annotations), signal), /status 500/)
})

t.test('an agent that ends does not wait for the kernel', async (t) => {
  const ending = new AbortController()
  const announcer = new Announcer(
    server(() => 200),
    () => new Promise(() => {}),
  )
  const applied = announcer.apply(delta(condition), ending.signal)
  ending.abort(new Error('ends'))
  await t.rejects(applied, /ends/)
})
