//! Who may come, by address.

use crate::table::Problem;
use crate::table::listener::{holds, networks};
use std::net::IpAddr;
use wire::network::Network;
use wire::proxy;

pub struct Sources {
    allow: Vec<Network>,
    deny: Vec<Network>,
}

impl Sources {
    pub fn new(row: &proxy::Sources) -> Result<Sources, Problem> {
        Ok(Sources { allow: networks(&row.allow)?, deny: networks(&row.deny)? })
    }

    pub fn admits(&self, client: IpAddr) -> bool {
        !holds(&self.deny, client) && (self.allow.is_empty() || holds(&self.allow, client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_denied_or_not_allowed_stays_out() {
        let sources = |allow: &[&str], deny: &[&str]| {
            let texts = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
            Sources::new(&proxy::Sources { allow: texts(allow), deny: texts(deny) })
        };
        let admits =
            |allow: &[&str], deny: &[&str], client: &str| sources(allow, deny).unwrap().admits(client.parse().unwrap());
        assert!(admits(&["10.0.0.0/8", "fd00::/8"], &[], "10.1.2.3"));
        assert!(admits(&["10.0.0.0/8", "fd00::/8"], &[], "fd00::1"));
        assert!(admits(&["10.0.0.0/8"], &[], "::ffff:10.1.2.3"), "one address in two forms");
        assert!(!admits(&["10.0.0.0/8"], &[], "11.0.0.1"));
        assert!(!admits(&["10.0.0.0/8"], &[], "fd00::1"));
        assert!(!admits(&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.2.3"), "deny goes first");
        assert!(admits(&[], &["10.1.0.0/16"], "10.2.0.0"));
        assert!(!admits(&[], &["0.0.0.0/0"], "1.1.1.1"));
        assert!(sources(&["10.0.0.0"], &[]).is_err());
    }
}
