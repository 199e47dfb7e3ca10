/** Traps of service proxies, by the iptables target in its nft variant. */
process.env['FAIRLEAD_TEST_TARGET'] = 'iptables-nft'
await import('./service-traps.test.ts')
