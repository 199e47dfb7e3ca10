//! What is answered from, and who looks on.

use crate::table::Set;
use crate::top::Top;
use crate::watch::Watch;
use std::sync::Arc;

/// What steps answer from.
#[derive(Clone, Default)]
pub struct Tables {
    /// By the number that a set got when it was first named.
    pub sets: Vec<Arc<Set>>,
    /// The first whole table has come.
    pub synced: bool,
    /// When the table was last changed, in seconds since 1970: the serial of the zones.
    pub serial: u32,
    pub observers: Arc<Observers>,
}

/// Who looks on while answers are given; nobody, most of the time.
#[derive(Default)]
pub struct Observers {
    pub watch: Arc<Watch>,
    pub top: Top,
}
