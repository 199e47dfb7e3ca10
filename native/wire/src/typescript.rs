//! Writes the types as TypeScript, or says that what is checked in differs.

use crate::{names, protocol, servers};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use ts_rs::{Config, TS, TypeVisitor};

#[test]
fn the_protocol_in_typescript() {
    let mut file = File::new();
    file.visit::<protocol::ToCarrier<'static>>();
    file.visit::<protocol::FromCarrier>();
    file.visit::<names::NameRow>();
    file.check("wire.ts");
}

#[test]
fn the_servers_in_typescript() {
    let mut file = File::new();
    file.visit::<servers::ServerRow>();
    file.check("servers.ts");
}

/// Types in the order in which they are met, each once.
struct File {
    config: Config,
    seen: BTreeSet<String>,
    text: String,
}

impl TypeVisitor for File {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        if T::output_path().is_none() || !self.seen.insert(T::ident(&self.config)) {
            return;
        }
        let docs = T::docs().unwrap_or_default();
        self.text += &short(&format!("\n{docs}export {}\n", T::decl(&self.config)));
        T::visit_dependencies(self);
    }
}

impl File {
    fn new() -> File {
        let config = Config::new().with_large_int("number");
        File { config, seen: BTreeSet::new(), text: HEAD.to_string() }
    }

    fn check(self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/carrier").join(name);
        if std::env::var_os("FAIRLEAD_WRITE").is_some() {
            return fs::write(path, self.text).unwrap();
        }
        let held = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            plain(&held) == plain(&self.text),
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
