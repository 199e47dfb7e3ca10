use cli::{Failure, failed};
use std::io::Read;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Becomes true when standard input ends, or on SIGTERM or SIGINT.
pub type Stop = watch::Receiver<bool>;

/// Call inside a runtime.
pub fn wanted() -> Result<Stop, Failure> {
    let (sender, receiver) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("cannot wait for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("cannot wait for SIGINT"))?;
    let by_input = sender.clone();
    std::thread::spawn(move || {
        input_ended();
        by_input.send_replace(true);
    });
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
    });
    Ok(receiver)
}

/// Blocks until standard input ends.
pub fn input_ended() {
    let mut input = std::io::stdin().lock();
    let mut buffer = [0; 1024];
    while input.read(&mut buffer).is_ok_and(|count| count > 0) {}
}
