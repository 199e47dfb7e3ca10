use serde::Deserialize;
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// One line of standard input: where the connections of a socket go from now on.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub fd: RawFd,
    /// Tried in turn, another one first each time. None: who knocks is let go at once.
    pub to: Vec<SocketAddr>,
}

impl Order {
    pub fn parse(line: &str) -> Result<Order, String> {
        let order: Order = serde_json::from_str(line).map_err(|error| error.to_string())?;
        match order.to.len() {
            0..=TO_MAX => Ok(order),
            many => Err(format!("{many} addresses; at most {TO_MAX}")),
        }
    }
}

const TO_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_strictly() {
        let order = Order::parse(r#"{"fd":4,"to":["10.0.0.1:80","[fd00::1]:80"]}"#).unwrap();
        assert_eq!((order.fd, order.to.len()), (4, 2));
        assert!(Order::parse(r#"{"fd":4,"to":[]}"#).unwrap().to.is_empty());
        for text in ["", "{}", r#"{"fd":4,"to":["web:80"]}"#, r#"{"fd":4,"to":[],"more":1}"#] {
            assert!(Order::parse(text).is_err(), "{text}");
        }
        let many = serde_json::to_string(&vec!["10.0.0.1:80"; TO_MAX + 1]).unwrap();
        assert!(Order::parse(&format!(r#"{{"fd":4,"to":{many}}}"#)).is_err());
    }
}
