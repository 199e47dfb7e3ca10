//! Which program this is, and what its server blocks are made of, under CoreDNS's names.

use crate::kind::{places, server};
use crate::metrics::{head, line};
use wire::corefile::Step;
use wire::servers::ServerRow;

pub fn render<'a>(text: &mut String, blocks: impl Iterator<Item = &'a ServerRow>) {
    let name = "coredns_build_info";
    let help =
        "A metric with a constant '1' value labeled by version, revision, and goversion from which CoreDNS was built.";
    head(text, name, "gauge", help);
    let version = env!("CARGO_PKG_VERSION");
    line(text, name, &format!("version=\"fairlead-{version}\",revision=\"\",goversion=\"\""), 1);
    let name = "coredns_plugin_enabled";
    let help = "A metric that indicates whether a plugin is enabled on per server and zone basis.";
    head(text, name, "gauge", help);
    for row in blocks.filter(|row| row.steps.iter().any(|step| matches!(step, Step::Prometheus(_)))) {
        for place in places(row) {
            for zone in &row.zones {
                let server = server(&place);
                for plugin in row.steps.iter().filter_map(plugin) {
                    let labels = format!("server=\"{server}\",zone=\"{zone}\",view=\"\",name=\"{plugin}\"");
                    line(text, name, &labels, 1);
                }
            }
        }
    }
}

/// Its name, if it has a say in queries: the others are not listed by CoreDNS, either.
fn plugin(step: &Step) -> Option<String> {
    let says_nothing =
        matches!(step, Step::Timeouts(_) | Step::Ready(_) | Step::Health(_) | Step::Tls(_) | Step::Bufsize(_));
    let value = (!says_nothing).then(|| serde_json::to_value(step).ok())??;
    Some(value.get("plugin")?.as_str()?.to_string())
}
