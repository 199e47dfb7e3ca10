/** What the carrier is told, as native/wire/src/corefile.rs and servers.rs have it. */
export type * from '../../carrier/servers.ts'
