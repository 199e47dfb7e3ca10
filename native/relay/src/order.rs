use serde::Deserialize;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use sys::listener::Listen;

/// One line of standard input.
#[derive(Debug, PartialEq, Eq)]
pub enum Order {
    /// Where the connections of an inherited socket go from now on.
    Lead { fd: RawFd, to: Vec<SocketAddr> },
    /// Opens a socket, or leads one that is open somewhere else.
    Open { listen: Listen, to: Vec<SocketAddr> },
    /// Closes what Open opened. TCP connections that stand are carried to their end.
    Close { listen: Listen },
}

impl Order {
    pub fn parse(line: &str) -> Result<Order, String> {
        let Line { fd, listen, close, to } = serde_json::from_str(line).map_err(|error| error.to_string())?;
        match (fd, listen, close, to) {
            (_, _, _, Some(to)) if to.len() > TO_MAX => Err(format!("{} addresses; at most {TO_MAX}", to.len())),
            (Some(fd), None, None, Some(to)) => Ok(Order::Lead { fd, to }),
            (None, Some(listen), None, Some(to)) => Ok(Order::Open { listen: listen.parse()?, to }),
            (None, None, Some(close), None) => Ok(Order::Close { listen: close.parse()? }),
            _ => Err("expected fd and to, listen and to, or close".to_string()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    fd: Option<RawFd>,
    listen: Option<String>,
    close: Option<String>,
    /// Tried in turn, another one first each time. None: who knocks is let go at once.
    to: Option<Vec<SocketAddr>>,
}

const TO_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_strictly() {
        let lead = Order::parse(r#"{"fd":4,"to":["10.0.0.1:80","[fd00::1]:80"]}"#).unwrap();
        assert!(matches!(lead, Order::Lead { fd: 4, to } if to.len() == 2));
        assert_eq!(Order::parse(r#"{"fd":4,"to":[]}"#), Ok(Order::Lead { fd: 4, to: vec![] }));
        let listen: Listen = "udp:[::1]:30053".parse().unwrap();
        assert_eq!(Order::parse(r#"{"listen":"udp:[::1]:30053","to":[]}"#), Ok(Order::Open { listen, to: vec![] }));
        assert_eq!(Order::parse(r#"{"close":"udp:[::1]:30053"}"#), Ok(Order::Close { listen }));
        for text in [
            "",
            "{}",
            r#"{"fd":4,"to":["web:80"]}"#,
            r#"{"fd":4,"to":[],"more":1}"#,
            r#"{"fd":4}"#,
            r#"{"fd":4,"listen":"tcp:80","to":[]}"#,
            r#"{"listen":"icmp:80","to":[]}"#,
            r#"{"close":"tcp:80","to":[]}"#,
        ] {
            assert!(Order::parse(text).is_err(), "{text}");
        }
        let many = serde_json::to_string(&vec!["10.0.0.1:80"; TO_MAX + 1]).unwrap();
        assert!(Order::parse(&format!(r#"{{"fd":4,"to":{many}}}"#)).is_err());
    }
}
