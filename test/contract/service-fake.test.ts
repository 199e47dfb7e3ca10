import t from 'tap'
import { serviceCases } from './service-cases.ts'
import { Room } from './service-room.ts'

for (const { name, objects, node, packets } of serviceCases) {
  t.test(name, async (t) => {
    const room = new Room({ node }).put(...objects)
    for (const { expect, ...packet } of packets) {
      t.same(room.route(packet), expect, `${packet.src} -> ${packet.dst} ${packet.protocol} ${packet.port}`)
    }
    t.same(
      room.tables.rejections.size > 0,
      name.includes('invalid') || name.includes('expected'),
      'no complaints but the expected',
    )
  })
}
