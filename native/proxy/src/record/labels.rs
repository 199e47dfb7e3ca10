//! What a route's requests are counted under. A route that is replaced by one of the same labels goes on counting.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

pub struct Labels {
    pub number: u64,
    /// `host="a",path="/",namespace="n",...`.
    pub text: String,
    pub namespace: String,
    pub ingress: String,
    pub service: String,
    /// Not of metrics.
    pub port: String,
    pub path: String,
    pub host: String,
}

impl Labels {
    pub fn new(host: &str, rows: &BTreeMap<String, String>) -> Arc<Labels> {
        let label = |name: &str| rows.get(name).cloned().unwrap_or_default();
        let host = if host.is_empty() { "_" } else { host };
        let mut text = String::new();
        let _ = write!(text, "host=\"{}\"", escaped(host));
        for name in ["path", "namespace", "ingress", "service", "canary"] {
            let _ = write!(text, ",{name}=\"{}\"", escaped(&label(name)));
        }
        let port = label("port");
        let key = format!("{text} {port}");
        static HELD: LazyLock<Mutex<HashMap<String, Weak<Labels>>>> = LazyLock::new(Mutex::default);
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(labels) = held.get(&key).and_then(Weak::upgrade) {
            return labels;
        }
        if held.len() >= 2 * held.capacity().max(512) / 3 {
            held.retain(|_, labels| labels.strong_count() > 0);
        }
        let labels = Arc::new(Labels {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            text,
            namespace: label("namespace"),
            ingress: label("ingress"),
            service: label("service"),
            port,
            path: label("path"),
            host: host.to_string(),
        });
        held.insert(key, Arc::downgrade(&labels));
        labels
    }
}

/// As a label's value is written.
pub fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
