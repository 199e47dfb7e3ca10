/** Node-local DNS by iptables: the same as by nftables. */
process.env['FAIRLEAD_TEST_TARGET'] = 'iptables-nft'
await import('./nodelocal.test.ts')
