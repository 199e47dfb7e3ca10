use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    pub id: Value,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub host: String,
    pub port: u16,
    pub path: Option<String>,
    pub scheme: Option<String>,
    #[serde(default)]
    pub headers: Headers,
    pub service: Option<String>,
    pub from: Option<IpAddr>,
    pub data: Option<String>,
    #[serde(default = "one_second")]
    pub timeout_ms: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Http,
    Tcp,
    Sctp,
    Grpc,
}

/// A JSON object, or the list of a Kubernetes probe (`httpHeaders`).
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Headers {
    ByName(BTreeMap<String, String>),
    List(Vec<Header>),
}

#[derive(Deserialize)]
pub struct Header {
    pub name: String,
    pub value: String,
}

#[derive(Serialize)]
pub struct Answer {
    pub id: Value,
    pub ok: bool,
    pub detail: String,
}

impl Answer {
    /// A question that cannot be read is answered too, by its id if there is one: who asked must not wait for ever.
    pub fn unreadable(line: &str, error: &serde_json::Error) -> Answer {
        let id = serde_json::from_str::<Value>(line).ok().and_then(|question| question.get("id").cloned());
        Answer { id: id.unwrap_or(Value::Null), ok: false, detail: format!("not a probe: {error}") }
    }
}

impl Default for Headers {
    fn default() -> Headers {
        Headers::List(Vec::new())
    }
}

impl Headers {
    pub fn iter(&self) -> Box<dyn Iterator<Item = (&str, &str)> + '_> {
        match self {
            Headers::ByName(map) => Box::new(map.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            Headers::List(list) => Box::new(list.iter().map(|header| (header.name.as_str(), header.value.as_str()))),
        }
    }
}

fn one_second() -> u64 {
    1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read() {
        let text = r#"{"id":"a","type":"http","host":"h","port":80,"headers":[{"name":"X","value":"1"}]}"#;
        let question: Question = serde_json::from_str(text).unwrap();
        assert_eq!((question.kind, question.timeout_ms), (Kind::Http, 1000));
        assert_eq!(question.headers.iter().collect::<Vec<_>>(), [("X", "1")]);
        let text = r#"{"id":1,"type":"grpc","host":"h","port":80,"headers":{"X":"1"},"timeoutMs":5}"#;
        let question: Question = serde_json::from_str(text).unwrap();
        assert_eq!((question.headers.iter().count(), question.timeout_ms), (1, 5));
    }

    #[test]
    fn what_cannot_be_read_is_answered_by_its_id() {
        let line = r#"{"id":7,"type":"icmp","host":"h","port":80}"#;
        let error = serde_json::from_str::<Question>(line).err().unwrap();
        let answer = Answer::unreadable(line, &error);
        assert_eq!((answer.id, answer.ok), (Value::from(7), false));
        let error = serde_json::from_str::<Question>("nonsense").err().unwrap();
        assert_eq!(Answer::unreadable("nonsense", &error).id, Value::Null);
    }
}
