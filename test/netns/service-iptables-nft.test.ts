/** The service contract by the iptables target, in the nft variant: the same cases as for nftables. */
process.env['FAIRLEAD_TEST_TARGET'] = 'iptables-nft'
await import('./service.test.ts')
