//! Location and Refresh, as nginx' proxy_redirect changes them: what one begins with becomes another thing.

use crate::table::Problem;
use crate::variable::{Template, Values};
use hyper::header::{HeaderMap, HeaderValue, LOCATION, REFRESH};

pub struct Locations {
    from: String,
    to: Template,
}

impl Locations {
    pub fn new((from, to): &(String, String)) -> Result<Locations, Problem> {
        Ok(Locations { from: from.clone(), to: Template::new(to)? })
    }

    pub fn varies(&self) -> bool {
        self.to.fixed().is_none()
    }

    pub fn apply(&self, values: &impl Values, headers: &mut HeaderMap) {
        if let Some(value) = headers.get_mut(LOCATION)
            && let Some(changed) = value.to_str().ok().and_then(|text| self.changed("", text, values))
        {
            *value = changed;
        }
        // `5; url=http://...`
        if let Some(value) = headers.get_mut(REFRESH)
            && let Some(changed) = value.to_str().ok().and_then(|text| {
                let at = text.to_ascii_lowercase().find("url=")? + 4;
                self.changed(&text[..at], &text[at..], values)
            })
        {
            *value = changed;
        }
    }

    fn changed(&self, before: &str, url: &str, values: &impl Values) -> Option<HeaderValue> {
        let rest = url.strip_prefix(&*self.from)?;
        HeaderValue::try_from(format!("{before}{}{rest}", self.to.render(values))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variable::Variable;
    use std::borrow::Cow;

    struct Hosted;

    impl Values for Hosted {
        fn value(&self, variable: &Variable) -> Cow<'_, str> {
            if *variable == Variable::Scheme { "https" } else { "shop.org" }.into()
        }
    }

    #[test]
    fn what_a_url_begins_with_is_replaced() {
        let row = ("http://backend:8080/".to_string(), "$scheme://$host/".to_string());
        let locations = Locations::new(&row).unwrap();
        for (name, value, wanted) in [
            (LOCATION, "http://backend:8080/a?b", "https://shop.org/a?b"),
            (LOCATION, "http://backend:8081/a", "http://backend:8081/a"),
            (LOCATION, "/a", "/a"),
            (REFRESH, "5; URL=http://backend:8080/x", "5; URL=https://shop.org/x"),
            (REFRESH, "5", "5"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(&name, HeaderValue::from_static(value));
            locations.apply(&Hosted, &mut headers);
            assert_eq!(headers.get(&name).unwrap(), wanted);
        }
    }
}
