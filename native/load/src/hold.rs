use crate::connect::timeout;
use crate::exchange::{STAYS, answers, payload, udp_socket};
use crate::places::Places;
use crate::report::Failures;
use crate::stop::{Stop, wanted};
use cli::{Failure, Flags, Outcome, failed, usage};
use serde_json::json;
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::{interval, timeout as limit};

/// Connections that stay and are used: each exchanges a byte at an interval, and is broken at its first failure.
pub fn run(flags: &Flags) -> Outcome {
    let places = Places::read(flags)?;
    let count: u64 = flags.parsed("count")?.unwrap_or(1);
    if !(1..=COUNT_MAX).contains(&count) {
        return Err(usage(format!("--count is from 1 to {COUNT_MAX}")));
    }
    let pause = Duration::from_millis(flags.parsed("interval-ms")?.unwrap_or(50).max(1));
    let patience = timeout(flags)?;
    let udp = flags.has("udp");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("no event loop"))?;
    runtime.block_on(async {
        let stop = wanted()?;
        let (opened, mut openings) = mpsc::channel(1024);
        let mut tasks = Vec::new();
        for number in 0..count {
            let (to, from) = places.pick(number);
            let holder = Holder { to, from, udp, pause, patience };
            tasks.push(tokio::spawn(holder.hold(opened.clone(), stop.clone())));
        }
        drop(opened);
        let mut open = 0;
        for _ in 0..count {
            open += u64::from(openings.recv().await.unwrap_or(false));
        }
        println!("{}", json!({"ready": open == count, "connections": open}));
        let mut total = Held::default();
        for task in tasks {
            total.add(task.await.map_err(failed("a connection's task failed"))?);
        }
        println!(
            "{}",
            json!({
                "connections": open,
                "exchanged": total.exchanged,
                "broken": total.causes.total(),
                "causes": total.causes.by_name(),
                "longestMs": total.longest.as_millis() as u64,
            })
        );
        Ok::<_, Failure>(ExitCode::SUCCESS)
    })
}

#[derive(Default)]
struct Held {
    exchanged: u64,
    causes: Failures,
    longest: Duration,
}

impl Held {
    fn add(&mut self, other: Held) {
        self.exchanged += other.exchanged;
        self.causes.merge(other.causes);
        self.longest = self.longest.max(other.longest);
    }
}

struct Holder {
    to: SocketAddr,
    from: Option<SocketAddr>,
    udp: bool,
    pause: Duration,
    patience: Duration,
}

impl Holder {
    async fn hold(self, opened: mpsc::Sender<bool>, mut stop: Stop) -> Held {
        let mut held = Held::default();
        let line = match timed(self.patience, Line::open(&self)).await {
            Ok(line) => line,
            Err(error) => {
                held.causes.add(&error);
                let _ = opened.send(false).await;
                return held;
            }
        };
        let mut line = line;
        let mut ticks = interval(self.pause);
        let mut opened = Some(opened);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return held,
            }
            let start = Instant::now();
            let result = timed(self.patience, line.exchange(held.exchanged)).await;
            if let Some(opened) = opened.take() {
                let _ = opened.send(result.is_ok()).await;
            }
            if let Err(error) = result {
                held.causes.add(&error);
                return held;
            }
            held.longest = held.longest.max(start.elapsed());
            held.exchanged += 1;
        }
    }
}

enum Line {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Line {
    async fn open(holder: &Holder) -> io::Result<Line> {
        if holder.udp {
            let socket = udp_socket(holder.to, holder.from, 0)?;
            socket.set_nonblocking(true)?;
            return Ok(Line::Udp(UdpSocket::from_std(socket.into())?));
        }
        Ok(Line::Tcp(connect(holder.to, holder.from).await?))
    }

    async fn exchange(&mut self, number: u64) -> io::Result<()> {
        match self {
            Line::Tcp(stream) => {
                stream.write_all(&STAYS).await?;
                stream.read_exact(&mut [0]).await?;
            }
            Line::Udp(socket) => udp_exchange(socket, number).await?,
        }
        Ok(())
    }
}

/// A connection that closes with RST.
pub async fn connect(to: SocketAddr, from: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(from)?;
    }
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub async fn udp_exchange(socket: &UdpSocket, number: u64) -> io::Result<()> {
    let text = payload(number);
    socket.send(text.as_bytes()).await?;
    let mut buffer = [0; 2048];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if answers(&buffer[..length], &text) {
            return Ok(());
        }
    }
}

pub async fn timed<T>(patience: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match limit(patience, work).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

pub const VALUES: &[&str] = &["to", "from", "count", "interval-ms", "timeout-ms"];

const COUNT_MAX: u64 = 100_000;
