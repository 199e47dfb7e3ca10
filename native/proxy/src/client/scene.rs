//! What is known of a request while it is under way.

use super::connection::Client;
use super::forwarded::Origin;
use crate::filter::basic::user;
use crate::record::line::protocol;
use crate::record::request::Record;
use crate::table::condition::{Asked, cookie};
use crate::variable::{Values, Variable, percent_encoded};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Uri, Version};
use std::borrow::Cow;
use std::rc::Rc;

#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub client: &'a Rc<Client>,
    pub origin: &'a Origin,
    pub asked: Asked<'a>,
    /// Lower case, without port.
    pub host: &'a str,
    /// As the client sent it.
    pub authority: &'a str,
    pub uri: &'a Uri,
    pub request_id: &'a HeaderValue,
    pub version: Version,
    /// What has become of it so far.
    pub record: Option<&'a Record>,
}

impl<'a> Scene<'a> {
    pub fn with<'b>(self, headers: &'b HeaderMap) -> Scene<'b>
    where
        'a: 'b,
    {
        Scene { asked: Asked { headers, ..self.asked }, ..self }
    }

    pub fn of<'b>(self, record: &'b Record) -> Scene<'b>
    where
        'a: 'b,
    {
        Scene { record: Some(record), ..self }
    }

    fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    pub fn scheme(&self) -> &'static str {
        self.client.scheme()
    }
}

impl Values for Scene<'_> {
    fn value(&self, variable: &Variable) -> Cow<'_, str> {
        let header =
            |name: &str| self.asked.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match variable {
            Variable::Scheme => self.scheme().into(),
            Variable::Host => self.host.into(),
            Variable::HttpHost => self.authority.into(),
            Variable::RequestUri => self.target().into(),
            Variable::Uri => self.asked.path.into(),
            Variable::Args => self.asked.query.unwrap_or_default().into(),
            Variable::IsArgs => if self.asked.query.is_some() { "?" } else { "" }.into(),
            Variable::RemoteAddr => self.origin.address.to_string().into(),
            Variable::RequestMethod => self.asked.method.as_str().into(),
            Variable::ServerPort => self.client.local.port().to_string().into(),
            Variable::RequestId => self.request_id.to_str().unwrap_or_default().into(),
            Variable::Header(name) => header(name).into(),
            Variable::RemotePort => self.client.peer.port().to_string().into(),
            Variable::ServerAddr => self.client.local.ip().to_string().into(),
            Variable::Argument(name) => {
                let pairs = self.asked.query.unwrap_or_default().split('&');
                let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
                pairs.find(|(held, _)| held == name).map_or("", |(_, value)| value).into()
            }
            Variable::Tls(said) => self.client.tls.as_ref().map_or("".into(), |tls| tls.say(*said)),
            Variable::Cookie(name) => cookie(self.asked.headers, name).unwrap_or_default().into(),
            Variable::Https => if self.client.tls.is_some() { "on" } else { "" }.into(),
            Variable::EscapedRequestUri => percent_encoded(self.target()).into(),
            Variable::Request => format!("{} {} {}", self.asked.method, self.target(), protocol(self.version)).into(),
            Variable::Protocol => protocol(self.version).into(),
            Variable::RemoteUser => user(self.asked.headers).unwrap_or_default().into(),
            _ => self.record.and_then(|record| record.value(variable)).unwrap_or_default(),
        }
    }
}
