//! Texts with ingress-nginx's `$variables`.

use crate::table::Problem;
use crate::tls::server::Said;
use std::borrow::Cow;

pub struct Template {
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Variable(Variable),
}

/// Those of upstream, and `Status` and `BytesSent`, are empty until there is a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    Scheme,
    Host,
    HttpHost,
    RequestUri,
    /// That, as it stands in a query.
    EscapedRequestUri,
    Uri,
    Args,
    IsArgs,
    RemoteAddr,
    RequestMethod,
    ServerPort,
    RequestId,
    RemotePort,
    ServerAddr,
    /// `on`, or empty.
    Https,
    RemoteUser,
    ServerName,
    Request,
    Protocol,
    Status,
    BytesSent,
    RequestLength,
    RequestTime,
    TimeLocal,
    TimeIso8601,
    Msec,
    Namespace,
    IngressName,
    ServiceName,
    ServicePort,
    LocationPath,
    UpstreamName,
    UpstreamAddr,
    UpstreamStatus,
    UpstreamTime,
    UpstreamLength,
    /// Of the backend's response.
    UpstreamHeader(String),
    /// Known, and always empty: of a part that is not built.
    Nothing,
    /// Of the client's TLS.
    Tls(Said),
    Header(String),
    Argument(String),
    Cookie(String),
}

/// What the variables are.
pub trait Values {
    fn value(&self, variable: &Variable) -> Cow<'_, str>;
}

impl Template {
    pub fn new(text: &str) -> Result<Template, Problem> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_string()));
            }
            let after = &rest[at + 1..];
            let (name, end) = match after.strip_prefix('{') {
                Some(braced) => {
                    let end = braced.find('}').ok_or_else(|| unknown(after))?;
                    (&braced[..end], end + 2)
                }
                None => {
                    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                    (&after[..end], end)
                }
            };
            parts.push(Part::Variable(Variable::named(name).ok_or_else(|| unknown(name))?));
            rest = &after[end..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_string()));
        }
        Ok(Template { parts })
    }

    /// It has to be known what the backend's response said.
    pub fn reads_answer(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Variable(Variable::UpstreamHeader(_))))
    }

    /// None: it has variables.
    pub fn fixed(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    pub fn render(&self, values: &impl Values) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Variable(variable) => text.push_str(&values.value(variable)),
            }
        }
        text
    }
}

impl Variable {
    fn named(name: &str) -> Option<Variable> {
        Some(match name {
            "scheme" | "pass_access_scheme" => Variable::Scheme,
            "host" | "best_http_host" => Variable::Host,
            "http_host" => Variable::HttpHost,
            "request_uri" => Variable::RequestUri,
            "escaped_request_uri" => Variable::EscapedRequestUri,
            "proxy_add_x_forwarded_for" | "full_x_forwarded_for" => Variable::Header("x-forwarded-for".to_string()),
            "uri" | "document_uri" => Variable::Uri,
            "args" | "query_string" => Variable::Args,
            "is_args" => Variable::IsArgs,
            "remote_addr" | "the_real_ip" | "binary_remote_addr" => Variable::RemoteAddr,
            "request_method" => Variable::RequestMethod,
            "server_port" | "pass_server_port" | "pass_port" => Variable::ServerPort,
            "req_id" | "request_id" => Variable::RequestId,
            "remote_port" => Variable::RemotePort,
            "server_addr" => Variable::ServerAddr,
            "server_name" => Variable::ServerName,
            "request" => Variable::Request,
            "server_protocol" => Variable::Protocol,
            "status" => Variable::Status,
            "body_bytes_sent" | "bytes_sent" => Variable::BytesSent,
            "request_length" => Variable::RequestLength,
            "request_time" => Variable::RequestTime,
            "time_local" => Variable::TimeLocal,
            "time_iso8601" => Variable::TimeIso8601,
            "msec" => Variable::Msec,
            "namespace" => Variable::Namespace,
            "ingress_name" => Variable::IngressName,
            "service_name" => Variable::ServiceName,
            "location_path" => Variable::LocationPath,
            "proxy_upstream_name" => Variable::UpstreamName,
            "upstream_addr" => Variable::UpstreamAddr,
            "upstream_status" => Variable::UpstreamStatus,
            "upstream_response_time" => Variable::UpstreamTime,
            "upstream_response_length" => Variable::UpstreamLength,
            "ssl_protocol" => Variable::Tls(Said::Protocol),
            "ssl_cipher" => Variable::Tls(Said::Cipher),
            "ssl_client_verify" => Variable::Tls(Said::Verify),
            "ssl_client_s_dn" => Variable::Tls(Said::Subject),
            "ssl_client_i_dn" => Variable::Tls(Said::Issuer),
            "ssl_client_serial" => Variable::Tls(Said::Serial),
            "ssl_client_fingerprint" => Variable::Tls(Said::Fingerprint),
            "ssl_client_escaped_cert" => Variable::Tls(Said::EscapedCertificate),
            "content_length" => Variable::Header("content-length".to_string()),
            "content_type" => Variable::Header("content-type".to_string()),
            "https" => Variable::Https,
            "remote_user" => Variable::RemoteUser,
            "service_port" => Variable::ServicePort,
            "proxy_alternative_upstream_name" | "proxy_protocol_addr" => Variable::Nothing,
            name if name.starts_with("upstream_http_") && name.len() > 14 => {
                Variable::UpstreamHeader(name[14..].replace('_', "-").to_ascii_lowercase())
            }
            _ => match name.split_once('_')? {
                ("http", field) if !field.is_empty() => Variable::Header(field.replace('_', "-").to_ascii_lowercase()),
                ("arg", name) if !name.is_empty() => Variable::Argument(name.to_string()),
                ("cookie", name) if !name.is_empty() => Variable::Cookie(name.to_string()),
                _ => return None,
            },
        })
    }
}

/// All but what is unreserved (RFC 3986 2.3).
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for octet in text.bytes() {
        match octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            true => encoded.push(char::from(octet)),
            false => encoded.push_str(&format!("%{octet:02X}")),
        }
    }
    encoded
}

fn unknown(name: &str) -> Problem {
    Problem::new(
        format!("there is no variable ${name}"),
        "use $scheme, $host, $request_uri, $uri, $args, $remote_addr, $request_method, $server_port, $req_id, $http_NAME, \
         $arg_NAME or $cookie_NAME",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Names;

    impl Values for Names {
        fn value(&self, variable: &Variable) -> Cow<'_, str> {
            format!("<{variable:?}>").into()
        }
    }

    #[test]
    fn variables_are_found() {
        let render = |text: &str| Template::new(text).map(|template| template.render(&Names));
        assert_eq!(render("https://$host$request_uri").unwrap(), "https://<Host><RequestUri>");
        assert_eq!(render("${scheme}x-$http_x_y").unwrap(), "<Scheme>x-<Header(\"x-y\")>");
        assert_eq!(render("plain").unwrap(), "plain");
        for wrong in ["$", "$nope", "${host", "$1", "$http_"] {
            assert!(render(wrong).is_err(), "{wrong}");
        }
    }
}
