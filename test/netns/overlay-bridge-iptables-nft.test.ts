/** Bridges that flannel left, with agents in iptables mode; the variant is the one that flannel's rules are in. */
process.env['FAIRLEAD_TEST_TARGET'] = 'iptables-nft'
await import('./overlay-bridge.test.ts')
