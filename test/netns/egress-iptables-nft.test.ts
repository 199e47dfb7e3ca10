/** Masquerading by iptables, in its nft variant: the same as by nftables. */
process.env['FAIRLEAD_TEST_TARGET'] = 'iptables-nft'
await import('./egress.test.ts')
