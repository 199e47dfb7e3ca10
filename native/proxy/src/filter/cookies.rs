//! Domain and Path of Set-Cookie, as nginx' proxy_cookie_domain and proxy_cookie_path change them.

use crate::table::Problem;
use crate::variable::{Template, Values};
use hyper::header::{Entry, HeaderMap, HeaderValue, SET_COOKIE};
use wire::proxy::CookieEdit;

pub struct Cookies {
    domains: Vec<(String, Template)>,
    paths: Vec<(String, Template)>,
}

impl Cookies {
    pub fn new(row: &CookieEdit) -> Result<Cookies, Problem> {
        let pairs = |rows: &[(String, String)]| {
            rows.iter().map(|(from, to)| Ok((from.clone(), Template::new(to)?))).collect::<Result<Vec<_>, Problem>>()
        };
        Ok(Cookies { domains: pairs(&row.domains)?, paths: pairs(&row.paths)? })
    }

    pub fn varies(&self) -> bool {
        self.domains.iter().chain(&self.paths).any(|(_, to)| to.fixed().is_none())
    }

    pub fn apply(&self, values: &impl Values, headers: &mut HeaderMap) {
        let Entry::Occupied(mut lines) = headers.entry(SET_COOKIE) else { return };
        for line in lines.iter_mut() {
            let changed = line.to_str().ok().and_then(|text| self.changed(text, values));
            if let Some(Ok(changed)) = changed.map(HeaderValue::try_from) {
                *line = changed;
            }
        }
    }

    /// None: it stays as it is.
    fn changed(&self, line: &str, values: &impl Values) -> Option<String> {
        let mut is_changed = false;
        let parts: Vec<String> = line
            .split(';')
            .enumerate()
            .map(|(number, part)| {
                let edited = match part.split_once('=') {
                    Some((name, value)) if number > 0 => {
                        let new = match name.trim() {
                            name if name.eq_ignore_ascii_case("domain") => self.domain(value.trim(), values),
                            name if name.eq_ignore_ascii_case("path") => self.path(value.trim(), values),
                            _ => None,
                        };
                        new.map(|new| format!("{name}={new}"))
                    }
                    _ => None,
                };
                is_changed |= edited.is_some();
                edited.unwrap_or_else(|| part.to_string())
            })
            .collect();
        is_changed.then(|| parts.join(";"))
    }

    /// Whole, without regard to case and to a dot before it, which stays.
    fn domain(&self, value: &str, values: &impl Values) -> Option<String> {
        let (dot, bare) = if value.starts_with('.') { value.split_at(1) } else { ("", value) };
        let fits = |from: &str| from.strip_prefix('.').unwrap_or(from).eq_ignore_ascii_case(bare);
        let (_, to) = self.domains.iter().find(|(from, _)| fits(from))?;
        let new = to.render(values);
        Some(if new.starts_with('.') { new } else { format!("{dot}{new}") })
    }

    /// What it begins with.
    fn path(&self, value: &str, values: &impl Values) -> Option<String> {
        self.paths.iter().find_map(|(from, to)| Some(to.render(values) + value.strip_prefix(&**from)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variable::Variable;
    use std::borrow::Cow;

    struct Hosted;

    impl Values for Hosted {
        fn value(&self, _: &Variable) -> Cow<'_, str> {
            "shop.org".into()
        }
    }

    #[test]
    fn domains_change_whole_and_paths_from_their_start() {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let row = CookieEdit {
            domains: pairs(&[(".old.org", "new.org"), ("in", "$host")]),
            paths: pairs(&[("/app/", "/"), ("/x", "/y")]),
        };
        let cookies = Cookies::new(&row).unwrap();
        for (line, wanted) in [
            ("a=1; Domain=old.org; Path=/app/b; Secure", "a=1; Domain=new.org; Path=/b; Secure"),
            ("a=1; domain=.OLD.org", "a=1; domain=.new.org"),
            ("a=1;domain=in", "a=1;domain=shop.org"),
            ("a=1; Domain=very.old.org; Path=/appendix", "a=1; Domain=very.old.org; Path=/appendix"),
            ("a=1; Path=/xy", "a=1; Path=/yy"),
            ("domain=old.org; Path=/", "domain=old.org; Path=/"),
            ("a", "a"),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(SET_COOKIE, HeaderValue::from_static("other=1"));
            headers.append(SET_COOKIE, HeaderValue::from_static(line));
            cookies.apply(&Hosted, &mut headers);
            let lines: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
            assert_eq!(lines, ["other=1", wanted]);
        }
    }
}
