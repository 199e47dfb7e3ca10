//! Connections that are not served: counted, and told of now and then.

use crate::table::listener::Listener;
use crate::thread::Thread;
use std::collections::HashMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Refusal {
    ProxyProtocol,
    ClientHello,
    NoEndpoint,
    Connect,
    Full,
    Resets,
    Stalled,
    Idle,
}

impl Refusal {
    pub fn label(self) -> &'static str {
        match self {
            Refusal::ProxyProtocol => "proxy_protocol",
            Refusal::ClientHello => "client_hello",
            Refusal::NoEndpoint => "no_endpoint",
            Refusal::Connect => "connect",
            Refusal::Full => "full",
            Refusal::Resets => "resets",
            Refusal::Stalled => "stalled",
            Refusal::Idle => "idle_frames",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Refusal::ProxyProtocol => {
                "have it speak the PROXY protocol, or leave its network out of those that the listener expects it of"
            }
            Refusal::ClientHello => "see what it is; TLS 1.2 and 1.3 are spoken here",
            Refusal::NoEndpoint => "see that the backend has endpoints that are ready",
            Refusal::Connect => "see that the backend listens, and that it can be reached from here",
            Refusal::Resets => "see who it is: it looks like an attack (CVE-2023-44487)",
            Refusal::Stalled => "see who it is; client-body-timeout says how long it may take",
            Refusal::Idle => "see who it is: it looks like an attack (CVE-2019-9512, CVE-2019-9515)",
            Refusal::Full => "raise the limits of the cluster, or see who connects so often",
        }
    }
}

/// Of one thread, by listener.
pub type Refused = HashMap<(Arc<str>, Refusal), u64>;

/// When each was last told.
pub type Told = HashMap<Refusal, Instant>;

impl Thread {
    pub fn refuse(&self, listener: &Listener, peer: SocketAddr, why: Refusal, detail: impl Display) {
        *self.metrics.lock().refused.entry((listener.name.clone(), why)).or_default() += 1;
        let mut told = self.told.borrow_mut();
        let now = Instant::now();
        if told.get(&why).is_some_and(|last| now.duration_since(*last) < PAUSE) {
            return;
        }
        told.insert(why, now);
        eprintln!(
            "proxy: listener {}: connection of {peer} refused ({}): {detail}; {} (told at most every {} s)",
            listener.name,
            why.label(),
            why.remedy(),
            PAUSE.as_secs()
        );
    }
}

const PAUSE: Duration = Duration::from_secs(10);
