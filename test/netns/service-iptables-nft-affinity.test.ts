/** Session affinity by the iptables target, in the nft variant. */
process.env['FAIRLEAD_TEST_TARGET'] = 'iptables-nft'
await import('./service-affinity.test.ts')
