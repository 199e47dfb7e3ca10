import t from 'tap'
import { serviceCases } from './service-cases.ts'
import { sctpCases } from './service-sctp.ts'
import { Room } from './service-room.ts'

for (const { name, objects, node, packets } of [...serviceCases, ...sctpCases]) {
  t.test(name, (t) => {
    const room = new Room({ node }).put(...objects)
    for (const { expect, ...packet } of packets) {
      t.same(room.route(packet), expect, `${packet.src} -> ${packet.dst} ${packet.protocol} ${packet.port}`)
    }
    t.equal(room.tables.rejections.size > 0, name.includes('invalid'), 'complaints only where something is invalid')
    t.end()
  })
}
