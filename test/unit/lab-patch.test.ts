/** The three kinds of patches. */
import t from 'tap'
import type { ApiObject, Fields } from '../../src/lab/api/object.ts'
import { patched } from '../../src/lab/api/patch.ts'

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', finalizers: ['a'] },
  spec: {
    replicas: 1,
    template: {
      spec: {
        containers: [
          { name: 'main', image: 'a:1', env: [{ name: 'A', value: '1' }], args: ['x'] },
          { name: 'side', image: 'b:1' },
        ],
      },
    },
  },
} as unknown as ApiObject

function apply(patch: unknown, type: string): Fields | string {
  const result = patched(deployment, patch, type)
  return 'failure' in result ? result.failure.message : result.object
}

const STRATEGIC = 'application/strategic-merge-patch+json'
const MERGE = 'application/merge-patch+json'
const JSON_PATCH = 'application/json-patch+json'

t.test('merge: null removes, lists are replaced', async (t) => {
  const spec = { replicas: null, paused: true, template: { spec: { containers: [{ name: 'x' }] } } }
  t.same((apply({ spec }, MERGE) as Fields)['spec'], {
    paused: true,
    template: { spec: { containers: [{ name: 'x' }] } },
  })
  t.match(apply([], MERGE), /must be a JSON object/)
})

t.test('strategic: lists by name, directives', async (t) => {
  const containers = [
    { name: 'main', image: 'a:2', env: [{ name: 'B', value: '2' }], args: ['y'] },
    { name: 'new', image: 'c:1' },
    { name: 'side', $patch: 'delete' },
  ]
  const next = apply(
    { metadata: { finalizers: ['b'] }, spec: { template: { spec: { containers } } } },
    STRATEGIC,
  ) as Fields
  t.same(next['spec'].template.spec.containers, [
    {
      name: 'main',
      image: 'a:2',
      env: [
        { name: 'A', value: '1' },
        { name: 'B', value: '2' },
      ],
      args: ['y'],
    },
    { name: 'new', image: 'c:1' },
  ])
  t.same(next['metadata'].finalizers, ['a', 'b'])
  const replaced = apply({ spec: { $patch: 'replace', replicas: 3 } }, STRATEGIC) as Fields
  t.same(replaced['spec'], { replicas: 3 })
  const fewer = apply({ metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } }, STRATEGIC) as Fields
  t.same(fewer['metadata'].finalizers, [])
  const kept = apply({ spec: { $retainKeys: ['replicas'], replicas: 2 } }, STRATEGIC) as Fields
  t.same(kept['spec'], { replicas: 2 })
})

t.test('JSON patch: each operation, paths with lists and escapes', async (t) => {
  const first = '/spec/template/spec/containers/0'
  const next = apply(
    [
      { op: 'test', path: `${first}/image`, value: 'a:1' },
      { op: 'replace', path: `${first}/image`, value: 'a:9' },
      { op: 'add', path: '/spec/template/spec/containers/-', value: { name: 'last' } },
      { op: 'remove', path: '/spec/template/spec/containers/1' },
      { op: 'add', path: '/metadata/annotations', value: {} },
      { op: 'add', path: '/metadata/annotations/a~1b~0', value: 'x' },
      { op: 'move', from: '/spec/replicas', path: '/spec/was' },
      { op: 'copy', from: `${first}/name`, path: '/spec/name' },
    ],
    JSON_PATCH,
  ) as Fields
  t.same(
    next['spec'].template.spec.containers.map(({ name, image }: Fields) => [name, image]),
    [
      ['main', 'a:9'],
      ['last', undefined],
    ],
  )
  t.same(next['metadata'].annotations, { 'a/b~': 'x' })
  t.match(next['spec'], { was: 1, name: 'main' })
  t.equal(next['spec'].replicas, undefined)
  t.match(apply([{ op: 'test', path: '/kind', value: 'Pod' }], JSON_PATCH), /operation 0 .* another value/)
  t.match(apply([{ op: 'remove', path: '/none/x' }], JSON_PATCH), /not there/)
  t.match(apply([{ op: 'jump', path: '/kind' }], JSON_PATCH), /none of add/)
  t.match(apply({}, JSON_PATCH), /list of operations/)
  t.equal(deployment['spec'].replicas, 1, 'the object itself is not touched')
})
