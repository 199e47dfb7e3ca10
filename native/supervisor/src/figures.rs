//! What the supervisor says of itself: Prometheus text, and the answer to `stats`.

use crate::supervisor::Supervisor;
use serde_json::{Value, json};
use wire::protocol::Question;

impl Supervisor {
    /// The worker's, then ours, then those of the controller while it is connected.
    pub async fn metrics(&mut self) -> String {
        let mut text = match self.ask_worker(Question::Metrics).await {
            Ok(Value::String(text)) => text,
            _ => String::new(),
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        self.own_metrics(&mut text);
        text += self.figures.as_deref().unwrap_or_default();
        text
    }

    fn own_metrics(&self, text: &mut String) {
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            *text += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        };
        let up = u64::from(self.keeper.id().is_some());
        one("fairlead_carrier_worker_up", "gauge", "1 while a worker serves", up);
        one("fairlead_carrier_worker_starts_total", "counter", "Workers that were started", self.keeper.starts);
        one("fairlead_carrier_connections_total", "counter", "Connections of controllers", self.counts.connections);
        one("fairlead_carrier_commits_total", "counter", "Deltas in force", self.counts.commits);
        one("fairlead_carrier_failures_total", "counter", "Deltas that failed as a whole", self.counts.failures);
        one("fairlead_carrier_refused_rows_total", "counter", "Rows that were refused", self.counts.refused);
        let connected = u64::from(self.connection.is_some());
        one("fairlead_carrier_controller_connected", "gauge", "1 while a controller is connected", connected);
        one(self.kind.known_as().panics, "counter", "A metrics that counts the number of panics.", self.keeper.died);
        self.pages.pulse.render(text, self.kind.known_as().health);
        for (name, help) in [("rows", "Rows of a table"), ("octets", "Octets of a table's log")] {
            let full = format!("fairlead_carrier_table_{name}");
            *text += &format!("# HELP {full} {help}\n# TYPE {full} gauge\n");
            for (table, log) in self.shelf.logs() {
                let rows = self.keeper.rows.get(table).copied().unwrap_or(0) as u64;
                let value = if name == "rows" { rows } else { log.octets() };
                *text += &format!("{full}{{table=\"{table}\"}} {value}\n");
            }
        }
    }

    pub async fn stats(&mut self) -> Value {
        let worker = self.ask_worker(Question::Stats).await.unwrap_or_else(|why| json!({ "error": why }));
        let tables = self.shelf.logs().map(|(table, log)| {
            let held = json!({
                "revision": log.revision(),
                "rows": self.keeper.rows.get(table),
                "octets": log.octets(),
                "on": if log.path().is_some() { "disk" } else { "memory" },
            });
            (table.clone(), held)
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "upSeconds": self.began.elapsed().as_secs(),
            "tables": tables.collect::<serde_json::Map<_, _>>(),
            "places": self.ports.places(),
            "missing": self.ports.missing().iter().map(|(place, why)| json!({ "place": place, "why": why })).collect::<Vec<_>>(),
            "pagesMissing": self.pages.failed(),
            "controller": {
                "connected": self.connection.is_some(),
                "connections": self.counts.connections,
                "refused": self.counts.refused,
                "failures": self.counts.failures,
            },
            "worker": { "pid": self.keeper.id(), "starts": self.keeper.starts, "says": worker },
        })
    }

    async fn ask_worker(&mut self, question: Question) -> Result<Value, String> {
        match self.keeper.question(question).await {
            Ok(answer) => answer,
            Err(why) => {
                if self.keeper.id().is_some() {
                    self.tend_dead(why.clone()).await;
                }
                Err(why)
            }
        }
    }
}
