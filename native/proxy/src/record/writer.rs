//! Lines for standard output, written by a thread of their own: whoever reads the log slowly loses lines, and holds up
//! nobody.

use std::io::Write;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

#[derive(Clone)]
pub struct Writer(SyncSender<String>);

impl Writer {
    pub fn start() -> Result<Writer, String> {
        let (lines, received) = sync_channel::<String>(LINES_MAX);
        let work = move || {
            while let Ok(mut text) = received.recv() {
                // What has come meanwhile goes with it.
                while text.len() < BATCH_BYTES {
                    let Ok(more) = received.try_recv() else { break };
                    text.push_str(&more);
                }
                let mut out = std::io::stdout().lock();
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            }
        };
        let thread = std::thread::Builder::new().name("access-log".to_string()).spawn(work);
        thread.map_err(|error| format!("no thread: {error}"))?;
        Ok(Writer(lines))
    }

    /// False: it is lost.
    pub fn write(&self, line: String) -> bool {
        !matches!(self.0.try_send(line), Err(TrySendError::Full(_)))
    }
}

const LINES_MAX: usize = 10_000;
const BATCH_BYTES: usize = 64 << 10;
