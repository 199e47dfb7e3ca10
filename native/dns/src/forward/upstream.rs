//! One server that is asked, and whether it is up.

use super::exchange::{Ask, Failure};
use super::stored::Stored;
use crate::name::Name;
use crate::packet;
use crate::step::Problem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::sleep;
use wire::corefile::{self, UpstreamTransport};

pub struct Upstream {
    pub address: SocketAddr,
    pub source: Option<IpAddr>,
    /// Checks that failed in a row.
    fails: AtomicU32,
    max_fails: u32,
    checking: AtomicBool,
    interval: Duration,
    check_name: Name,
    check_recursive: bool,
}

impl Upstream {
    pub fn new(upstream: &corefile::Upstream, step: &corefile::Forward) -> Result<Upstream, Problem> {
        if upstream.transport == UpstreamTransport::Tls {
            return Err(Problem::new("forward to tls:// is not served yet", "forward to the plain address"));
        }
        let address = |text: &str| -> Result<IpAddr, Problem> {
            text.parse().map_err(|_| Problem::new(format!("{text:?} is no address"), "give an IPv4 or IPv6 address"))
        };
        Ok(Upstream {
            address: SocketAddr::new(address(&upstream.address)?, upstream.port),
            source: step.source_address.as_deref().map(address).transpose()?,
            fails: AtomicU32::new(0),
            max_fails: step.max_fails,
            checking: AtomicBool::new(false),
            interval: Duration::from_millis(step.health_check.interval_ms.max(100).into()),
            check_name: Name::parse(&step.health_check.domain).map_err(Problem::name)?,
            check_recursive: step.health_check.recursion_desired,
        })
    }

    pub fn is_down(&self) -> bool {
        self.max_fails > 0 && self.fails.load(Ordering::Relaxed) >= self.max_fails
    }

    pub async fn ask(self: Arc<Upstream>, ask: Ask, force_tcp: bool, patience: Duration) -> Result<Stored, Failure> {
        let told = ask.of(&self, force_tcp, patience).await;
        if told.is_err() && self.max_fails > 0 && !self.checking.swap(true, Ordering::Relaxed) {
            spawn_local(self.clone().check());
        }
        told
    }

    /// Until it answers, whatever it answers. Ends as well when the configuration it belongs to has gone.
    async fn check(self: Arc<Upstream>) {
        while Arc::strong_count(&self) > 1 {
            let mut ask = Ask::new(self.check_name.wire(), packet::NS, false, false);
            ask.recursive(self.check_recursive);
            if ask.of(&self, false, CHECK_PATIENCE).await.is_ok() {
                self.fails.store(0, Ordering::Relaxed);
                break;
            }
            let fails = self.fails.load(Ordering::Relaxed);
            self.fails.store(fails.saturating_add(1), Ordering::Relaxed);
            sleep(self.interval).await;
        }
        self.checking.store(false, Ordering::Relaxed);
    }
}

const CHECK_PATIENCE: Duration = Duration::from_secs(1);
