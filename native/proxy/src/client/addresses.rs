//! Whose a connection is, and where it was made to: as the connection says, or a header of the PROXY protocol before it.

use crate::proxy_protocol::{self, HEADER_MAX_BYTES, Header};
use crate::table::listener::{Listener, holds};
use std::io;
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub peer: SocketAddr,
    pub local: SocketAddr,
    /// Where whoever sent the header took the connection in.
    pub told: Option<SocketAddr>,
}

/// Err: why there is no telling. Nothing that comes behind the header has been read.
pub async fn addresses(
    stream: &mut TcpStream,
    listener: &Listener,
    peer: SocketAddr,
    local: SocketAddr,
) -> Result<Addresses, Unknown> {
    let own = Addresses { peer, local, told: None };
    if listener.proxy_protocol.is_empty() || !holds(&listener.proxy_protocol, peer.ip()) {
        return Ok(own);
    }
    match timeout(listener.proxy_protocol_timeout, header(stream)).await {
        Err(_) => Err(Unknown::Bad("it did not come in time")),
        Ok(Err(unknown)) => Err(unknown),
        Ok(Ok(proxy_protocol::Ends::Own)) => Ok(own),
        Ok(Ok(proxy_protocol::Ends::Told { source, destination })) => {
            Ok(Addresses { peer: source, told: Some(destination), ..own })
        }
    }
}

pub enum Unknown {
    /// The client has ended, as those do that only see whether the port is open.
    Gone,
    Bad(&'static str),
}

/// Looks before it takes, so that it never takes too much.
async fn header(stream: &mut TcpStream) -> Result<proxy_protocol::Ends, Unknown> {
    let gone = |_: io::Error| Unknown::Gone;
    let mut octets = [0; HEADER_MAX_BYTES];
    let mut taken = 0;
    loop {
        let count = stream.peek(&mut octets[taken..]).await.map_err(gone)?;
        if count == 0 {
            return Err(if taken == 0 { Unknown::Gone } else { Unknown::Bad("it is cut off") });
        }
        let end = match proxy_protocol::read(&octets[..taken + count]) {
            Header::Bad(reason) => return Err(Unknown::Bad(reason)),
            Header::Part => taken + count,
            Header::Whole(length, ends) => {
                stream.read_exact(&mut octets[taken..length]).await.map_err(gone)?;
                return Ok(ends);
            }
        };
        stream.read_exact(&mut octets[taken..end]).await.map_err(gone)?;
        taken = end;
    }
}
