//! One server that is asked, and whether it is up.

use super::dial::{ClientTls, Dial};
use super::exchange::{Ask, Failure};
use super::figures::Figures;
use super::pool::Pool;
use super::stored::Stored;
use crate::name::{Name, not_absolute};
use crate::packet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use supervisor::Problem;
use tokio::task::spawn_local;
use tokio::time::sleep;
use wire::corefile;

pub struct Upstream {
    pub dial: Arc<Dial>,
    pub pool: Pool,
    pub figures: Arc<Figures>,
    /// Over connections only.
    pub force_tcp: bool,
    /// Checks that failed in a row.
    fails: AtomicU32,
    max_fails: u32,
    checking: AtomicBool,
    interval: Duration,
    check_name: Name,
    check_recursive: bool,
}

impl Upstream {
    pub fn new(
        upstream: &corefile::Upstream,
        step: &corefile::Forward,
        tls: &Arc<ClientTls>,
    ) -> Result<Upstream, Problem> {
        let dial = Arc::new(Dial::new(upstream, step.source_address.as_deref(), tls)?);
        let figures = Figures::of(dial.address);
        Ok(Upstream {
            pool: Pool::new(dial.clone(), step, figures.clone()),
            figures,
            force_tcp: step.force_tcp || dial.is_tls(),
            dial,
            fails: AtomicU32::new(0),
            max_fails: step.max_fails,
            checking: AtomicBool::new(false),
            interval: Duration::from_millis(step.health_check.interval_ms.max(100).into()),
            check_name: Name::parse(&step.health_check.domain).map_err(not_absolute)?,
            check_recursive: step.health_check.recursion_desired,
        })
    }

    pub fn is_down(&self) -> bool {
        self.max_fails > 0 && self.fails.load(Ordering::Relaxed) >= self.max_fails
    }

    pub async fn ask(self: Arc<Upstream>, ask: Ask, patience: Duration) -> Result<Stored, Failure> {
        let begun = Instant::now();
        let told = ask.of(&self, patience).await;
        match &told {
            Ok(stored) => self.figures.answered(stored.code, begun.elapsed()),
            Err(_) if self.max_fails > 0 && !self.checking.swap(true, Ordering::Relaxed) => {
                spawn_local(self.clone().check());
            }
            Err(_) => {}
        }
        told
    }

    /// Until it answers, whatever it answers. Ends as well when the configuration it belongs to has gone.
    async fn check(self: Arc<Upstream>) {
        while Arc::strong_count(&self) > 1 {
            let mut ask = Ask::new(self.check_name.wire(), packet::NS, false, false);
            ask.recursive(self.check_recursive);
            let patience = if self.force_tcp { CONNECTION_PATIENCE } else { CHECK_PATIENCE };
            let told = ask.of(&self, patience).await;
            if told.is_ok() || told.is_err_and(|failure| failure.answered) {
                self.fails.store(0, Ordering::Relaxed);
                break;
            }
            self.figures.check_failed();
            let fails = self.fails.load(Ordering::Relaxed);
            self.fails.store(fails.saturating_add(1), Ordering::Relaxed);
            sleep(self.interval).await;
        }
        self.checking.store(false, Ordering::Relaxed);
    }
}

const CHECK_PATIENCE: Duration = Duration::from_secs(1);
/// With a handshake or two.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(3);
