//! The acl step: who may ask what.

use crate::given::Given;
use crate::name::{Name, names, within};
use crate::packet;
use crate::reply::Reply;
use std::net::IpAddr;
use supervisor::Problem;
use wire::corefile::{self, AclAction};
use wire::network::Network;

pub struct Acl {
    rules: Vec<(Vec<Name>, Vec<Policy>)>,
}

struct Policy {
    action: AclAction,
    types: Vec<u16>,
    networks: Vec<Network>,
}

impl Acl {
    pub fn new(step: &corefile::Acl) -> Result<Acl, Problem> {
        let policy = |policy: &corefile::AclPolicy| -> Result<Policy, Problem> {
            let networks = policy.networks.iter().map(|text| network(text)).collect::<Result<_, _>>()?;
            Ok(Policy { action: policy.action, types: policy.types.clone(), networks })
        };
        let rule = |rule: &corefile::AclRule| -> Result<_, Problem> {
            Ok((names(&rule.zones)?, rule.policies.iter().map(policy).collect::<Result<_, _>>()?))
        };
        Ok(Acl { rules: step.rules.iter().map(rule).collect::<Result<_, _>>()? })
    }

    pub fn answer(&self, name: &[u8], kind: u16, client: IpAddr, reply: &mut Reply) -> Given {
        let action = self.action(name, kind, client);
        if action != AclAction::Allow {
            reply.authoritative = false;
        }
        match action {
            AclAction::Allow => Given::Pass,
            AclAction::Drop => Given::Drop,
            AclAction::Block => {
                reply.extended_error(BLOCKED, "");
                Given::Done(packet::REFUSED)
            }
            AclAction::Filter => {
                reply.extended_error(FILTERED, "");
                Given::Done(packet::NO_ERROR)
            }
        }
    }

    /// The first policy that fits, of the first rule that has one.
    fn action(&self, name: &[u8], kind: u16, client: IpAddr) -> AclAction {
        let client = client.to_canonical();
        let rules = self.rules.iter().filter(|(zones, _)| zones.iter().any(|zone| within(name, zone.wire())));
        let fits = |policy: &&Policy| {
            (policy.types.is_empty() || policy.types.contains(&kind) || policy.types.contains(&packet::ANY))
                && (policy.networks.is_empty() || policy.networks.iter().any(|network| network.holds(client)))
        };
        rules.flat_map(|(_, policies)| policies).find(fits).map_or(AclAction::Allow, |policy| policy.action)
    }
}

pub fn network(text: &str) -> Result<Network, Problem> {
    Network::parse(text).ok_or_else(|| Problem::new(format!("{text:?} is no network"), "write it as 10.0.0.0/8"))
}

/// RFC 8914 4.16, 4.18.
const BLOCKED: u16 = 15;
const FILTERED: u16 = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (network, ip, holds) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("10.0.0.1/32", "10.0.0.1", true),
            ("10.0.0.1/32", "10.0.0.2", false),
            ("::/0", "fd00::1", true),
            ("fd00::/64", "fd00::ffff", true),
            ("fd00::/64", "fd00:0:0:1::", false),
            ("0.0.0.0/0", "::1", false),
        ] {
            assert_eq!(Network::parse(network).unwrap().holds(ip.parse().unwrap()), holds, "{network} {ip}");
        }
        for wrong in ["10.0.0.0", "10.0.0.0/33", "a/8", "::/129", "10.0.0.0/-1"] {
            assert!(Network::parse(wrong).is_none(), "{wrong}");
        }
    }
}
