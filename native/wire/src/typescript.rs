//! Writes the types as TypeScript, or says that what is checked in differs.

use crate::{answers, names, protocol, proxy, servers, serving};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use ts_rs::{Config, TS, TypeVisitor};

#[test]
fn the_protocol_in_typescript() {
    let mut file = File::new();
    file.visit::<protocol::ToCarrier<'static>>();
    file.visit::<protocol::FromCarrier>();
    file.visit::<names::NameRow>();
    file.visit::<answers::FromReader>();
    file.visit::<answers::ToReader>();
    file.visit::<serving::Serving>();
    file.visit::<serving::Switched>();
    let protocol = format!("\n/** Of hello. */\nexport const PROTOCOL = {}\n", protocol::PROTOCOL);
    file.types.insert("PROTOCOL".to_string(), protocol);
    file.check("wire.ts");
}

#[test]
fn the_servers_in_typescript() {
    let mut file = File::new();
    file.visit::<servers::ServerRow>();
    file.check("servers.ts");
}

#[test]
fn the_proxy_in_typescript() {
    let mut file = File::new();
    file.visit::<proxy::ProxyRow>();
    file.visit::<proxy::SecretRow>();
    file.check("proxy.ts");
}

/// Types by name, each once: in which order they are met is by chance, anew with each compilation.
struct File {
    config: Config,
    types: BTreeMap<String, String>,
}

impl TypeVisitor for File {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        if T::output_path().is_none() || self.types.contains_key(&T::ident(&self.config)) {
            return;
        }
        let name = T::ident(&self.config);
        let docs = T::docs().unwrap_or_default();
        self.types.insert(name, short(&format!("\n{docs}export {}\n", T::decl(&self.config))));
        T::visit_dependencies(self);
    }
}

impl File {
    fn new() -> File {
        let config = Config::new().with_large_int("number");
        File { config, types: BTreeMap::new() }
    }

    fn check(self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/carrier").join(name);
        let text = HEAD.to_string() + &self.types.into_values().collect::<String>();
        if std::env::var_os("FAIRLEAD_WRITE").is_some() {
            return fs::write(path, text).unwrap();
        }
        let held = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            plain(&held) == plain(&text),
            "src/carrier/{name} is not what native/wire says; mend it with: npm run wire",
        );
    }
}

/// Comments of one line on one line.
fn short(text: &str) -> String {
    let mut parts = text.split("/**\n").map(str::to_string);
    let mut text = parts.next().unwrap_or_default();
    for part in parts {
        let (comment, rest) = part.split_once("*/").expect("a comment ends");
        match comment.trim().trim_start_matches("* ") {
            line if !line.contains('\n') => text += &format!("/** {line} */{rest}"),
            _ => text += &format!("/**\n{comment}*/{rest}"),
        }
    }
    text
}

/// Without what prettier changes: the file that is checked in is formatted.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !";,|'\"()".contains(*c)).collect()
}

const HEAD: &str = "// Written by `npm run wire` from native/wire. Change it there.\n";
