//! Header fields taken away, set and added, in this order.

use crate::table::Problem;
use crate::variable::{Template, Values};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use wire::proxy::HeaderEdit;

pub struct Edit {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, Value)>,
    add: Vec<(HeaderName, Value)>,
}

enum Value {
    Fixed(HeaderValue),
    Made(Template),
}

impl Edit {
    pub fn new(row: &HeaderEdit) -> Result<Edit, Problem> {
        let pair = |(field, text): &(String, String)| Ok((name(field)?, Value::new(text)?));
        Ok(Edit {
            remove: row.remove.iter().map(|field| name(field)).collect::<Result<_, _>>()?,
            set: row.set.iter().map(pair).collect::<Result<_, Problem>>()?,
            add: row.add.iter().map(pair).collect::<Result<_, Problem>>()?,
        })
    }

    /// Its values are made anew for each request.
    pub fn varies(&self) -> bool {
        self.set.iter().chain(&self.add).any(|(_, value)| matches!(value, Value::Made(_)))
    }

    pub fn reads_answer(&self) -> bool {
        let reads = |value: &Value| matches!(value, Value::Made(template) if template.reads_answer());
        self.set.iter().chain(&self.add).any(|(_, value)| reads(value))
    }

    /// A value that comes out empty, or cannot be sent, is none, as with nginx.
    pub fn apply(&self, values: &impl Values, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            match value.of(values) {
                Some(value) => drop(headers.insert(name, value)),
                None => drop(headers.remove(name)),
            }
        }
        for (name, value) in &self.add {
            if let Some(value) = value.of(values) {
                headers.append(name, value);
            }
        }
    }
}

impl Value {
    fn new(text: &str) -> Result<Value, Problem> {
        let template = Template::new(text)?;
        let Some(fixed) = template.fixed() else { return Ok(Value::Made(template)) };
        let fixed = HeaderValue::from_str(fixed).map_err(|_| {
            Problem::new(format!("{text:?} cannot be sent in a header field"), "use visible characters")
        })?;
        Ok(Value::Fixed(fixed))
    }

    fn of(&self, values: &impl Values) -> Option<HeaderValue> {
        match self {
            Value::Fixed(value) => (!value.is_empty()).then(|| value.clone()),
            Value::Made(template) => {
                HeaderValue::try_from(template.render(values)).ok().filter(|value| !value.is_empty())
            }
        }
    }
}

/// What frames a message or belongs to a connection is the proxy's own.
fn name(text: &str) -> Result<HeaderName, Problem> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Problem::new(format!("{text:?} is no name of a header field"), "correct the name"))?;
    if OWN.contains(&name.as_str()) {
        return Err(Problem::new(format!("{text} is the proxy's own header field"), "leave it to the proxy"));
    }
    Ok(name)
}

const OWN: [&str; 8] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variable::Variable;
    use std::borrow::Cow;

    struct Hosted;

    impl Values for Hosted {
        fn value(&self, variable: &Variable) -> Cow<'_, str> {
            if *variable == Variable::Host { "shop" } else { "" }.into()
        }
    }

    fn edit(remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]) -> Result<Edit, Problem> {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let remove = remove.iter().map(|name| name.to_string()).collect();
        Edit::new(&HeaderEdit { remove, set: pairs(set), add: pairs(add) })
    }

    #[test]
    fn fields_are_removed_then_set_then_added() {
        let edit = edit(
            &["X-A", "X-B"],
            &[("X-B", "1"), ("x-c", "to $host"), ("X-D", "$uri"), ("X-E", "")],
            &[("X-B", "2"), ("X-F", "$uri"), ("X-G", "$host")],
        );
        let mut headers = HeaderMap::new();
        for name in ["x-a", "x-b", "x-c", "x-d", "x-e", "x-f"] {
            headers.append(name, HeaderValue::from_static("old"));
            headers.append(name, HeaderValue::from_static("old"));
        }
        edit.unwrap().apply(&Hosted, &mut headers);
        let mut left: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_by_key(|(name, _)| *name);
        let wanted = [("x-b", "1"), ("x-b", "2"), ("x-c", "to shop"), ("x-f", "old"), ("x-f", "old"), ("x-g", "shop")];
        assert_eq!(left, wanted);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (name, value) in
            [("X A", "1"), ("", "1"), ("X-A", "1\r\nX-B: 2"), ("Content-Length", "1"), ("X-A", "$nope")]
        {
            assert!(edit(&[], &[(name, value)], &[]).is_err(), "{name}: {value}");
        }
        assert!(edit(&["Transfer-Encoding"], &[], &[]).is_err());
    }
}
