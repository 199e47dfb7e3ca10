//! What the controller makes of Corefiles, as its own tests keep it, is what is read here: no field is missing, none is
//! unknown, and written again it is the same.

use std::fs;
use std::path::Path;
use wire::corefile::Step;
use wire::names::NameRow;

#[test]
fn steps_and_names_of_corefiles() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/unit/dns-corefile");
    let mut plugins = std::collections::BTreeSet::new();
    let mut names = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "golden") {
            continue;
        }
        for line in fs::read_to_string(&path).unwrap().lines() {
            let at = || format!("{}: {line}", path.display());
            if let Some(json) = line.strip_prefix("  {").map(|rest| format!("{{{rest}")) {
                let step: Step = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error} in {}", at()));
                let given: serde_json::Value = serde_json::from_str(&json).unwrap();
                assert_eq!(serde_json::to_value(&step).unwrap(), given, "{}", at());
                plugins.insert(given["plugin"].as_str().unwrap().to_string());
            } else if let Some(json) = line.strip_prefix("name ") {
                serde_json::from_str::<NameRow>(json).unwrap_or_else(|error| panic!("{error} in {}", at()));
                names += 1;
            }
        }
    }
    assert!(plugins.len() == 29 && names > 10, "{} plugins and {names} names", plugins.len());
}
