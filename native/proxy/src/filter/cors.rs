//! Cross-origin requests (Fetch 3.2), as ingress-nginx answers them: OPTIONS of an origin that is allowed ends here, before
//! anybody is asked who he is; with `*` that of everybody.

use crate::client::response::ResponseBody;
use crate::client::scene::Scene;
use crate::table::Problem;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Response, StatusCode};
use wire::proxy;

pub struct Cors {
    origins: Origins,
    /// But for the origin.
    fields: Vec<(HeaderName, HeaderValue)>,
}

enum Origins {
    All,
    These(Vec<Allowed>),
}

/// Lower case.
enum Allowed {
    Exact(String),
    /// What stands before and after one label.
    Below(String, String),
}

impl Cors {
    pub fn new(row: &proxy::Cors) -> Result<Cors, Problem> {
        let mut fields = Vec::new();
        let mut field = |name, text: &str| -> Result<(), Problem> {
            let wrong = |_| Problem::new(format!("cors: {text:?} cannot be sent"), "use visible characters");
            fields.push((name, HeaderValue::from_str(text).map_err(wrong)?));
            Ok(())
        };
        if row.credentials {
            field(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true")?;
        }
        field(ACCESS_CONTROL_ALLOW_METHODS, &row.methods.join(", "))?;
        field(ACCESS_CONTROL_ALLOW_HEADERS, &row.headers.join(", "))?;
        if !row.expose.is_empty() {
            field(ACCESS_CONTROL_EXPOSE_HEADERS, &row.expose.join(", "))?;
        }
        field(ACCESS_CONTROL_MAX_AGE, &row.max_age_seconds.to_string())?;
        let origins = match row.origins.iter().any(|origin| origin == "*") {
            true => Origins::All,
            false => Origins::These(row.origins.iter().map(|origin| Allowed::new(origin)).collect()),
        };
        Ok(Cors { origins, fields })
    }

    /// What the response is to name as the origin; None: it says nothing of origins.
    pub fn origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let Origins::These(allowed) = &self.origins else { return Some(HeaderValue::from_static("*")) };
        let origin = headers.get(ORIGIN)?;
        let text = origin.to_str().ok()?.to_ascii_lowercase();
        allowed.iter().any(|allowed| allowed.fits(&text)).then(|| origin.clone())
    }

    /// The answer to what a browser asks before it asks.
    pub fn preflight(&self, scene: &Scene<'_>) -> Option<Response<ResponseBody>> {
        (*scene.asked.method == Method::OPTIONS).then(|| {
            let mut response = Response::new(ResponseBody::whole(""));
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        })
    }

    /// In place of what the backend says of it.
    pub fn apply(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if let Origins::These(_) = self.origins {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        for (name, value) in &self.fields {
            headers.insert(name, value.clone());
        }
    }
}

impl Allowed {
    fn new(text: &str) -> Allowed {
        let text = text.to_ascii_lowercase();
        match text.split_once('*') {
            Some((before, after)) => Allowed::Below(before.to_string(), after.to_string()),
            None => Allowed::Exact(text),
        }
    }

    fn fits(&self, origin: &str) -> bool {
        match self {
            Allowed::Exact(text) => text == origin,
            Allowed::Below(before, after) => {
                let label = origin.strip_prefix(&**before).and_then(|rest| rest.strip_suffix(&**after));
                let plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
                label.is_some_and(|label| !label.is_empty() && label.bytes().all(plain))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_whole() {
        let row = |origins: &[&str]| proxy::Cors {
            origins: origins.iter().map(|origin| origin.to_string()).collect(),
            methods: vec!["GET".to_string()],
            headers: vec![],
            expose: vec![],
            credentials: true,
            max_age_seconds: 1,
        };
        let cors = Cors::new(&row(&["https://a.example", "http://*.b.example:8443"])).unwrap();
        for (origin, fits) in [
            ("https://a.example", true),
            ("HTTPS://A.example", true),
            ("http://a.example", false),
            ("https://a.example.evil", false),
            ("https://a.example:443", false),
            ("http://x.b.example:8443", true),
            ("http://x.y.b.example:8443", false),
            ("http://.b.example:8443", false),
            ("http://b.example:8443", false),
            ("http://x.b.example", false),
            ("http://evil/.b.example:8443", false),
            ("null", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            let said = cors.origin(&headers);
            assert_eq!(said.is_some(), fits, "{origin}");
            assert!(said.is_none_or(|said| said == origin), "as the client wrote it");
        }
        assert_eq!(cors.origin(&HeaderMap::new()), None);
        assert_eq!(Cors::new(&row(&["*"])).unwrap().origin(&HeaderMap::new()).unwrap(), "*");
    }
}
