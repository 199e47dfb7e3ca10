use cli::{Failure, usage};
use std::net::SocketAddr;

/// Who answers.
pub struct Identity {
    pub pod: String,
    pub namespace: String,
    pub node: String,
    pub names: Vec<(String, String)>,
}

impl Identity {
    /// `names`: `KEY=VALUE` each.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Result<Identity, Failure> {
        let names = names
            .map(|text| match text.split_once('=') {
                Some((key, value)) if !key.is_empty() => Ok((key.to_string(), value.to_string())),
                _ => Err(usage(format!("--name {text} is not KEY=VALUE"))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Identity {
            pod: variable("POD_NAME").unwrap_or_else(host_name),
            namespace: variable("POD_NAMESPACE").unwrap_or_else(|| "-".into()),
            node: variable("NODE_NAME").unwrap_or_else(|| "-".into()),
            names,
        })
    }

    /// `POD NODE PEER`.
    pub fn greeting(&self, peer: SocketAddr) -> String {
        format!("{} {} {peer}", self.pod, self.node)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "-".into())
}
