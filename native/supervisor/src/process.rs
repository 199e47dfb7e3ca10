//! The worker as the supervisor sees it: a process, and a channel to it.

use crate::channel::Channel;
use crate::message::{FromWorker, ToWorker};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use sys::channel::pair;
use tokio::time::timeout;

/// Killed when dropped.
pub struct Process {
    child: Child,
    channel: Channel,
}

impl Process {
    /// This program again, as the worker of the same command. Its process group is its own: Ctrl-C is for the supervisor,
    /// which lets it end in order.
    pub fn start(command: &str, threads: usize) -> io::Result<Process> {
        let (ours, theirs) = pair()?;
        let child = Command::new("/proc/self/exe")
            .args([command, "--worker", "--threads", &threads.to_string()])
            .stdin(Stdio::from(theirs))
            .process_group(0)
            .spawn()?;
        Ok(Process { child, channel: Channel::new(ours)? })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks, and waits for the answer. After an error nothing more can be asked: it is dead, or as good as.
    pub async fn ask(
        &mut self,
        message: &ToWorker,
        files: &[BorrowedFd<'_>],
        within: Duration,
    ) -> Result<FromWorker, String> {
        match timeout(within, self.exchange(message, files)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(format!("the worker ended: {error}{}", self.status())),
            Err(_) => Err(format!("the worker did not answer within {} s", within.as_secs_f32())),
        }
    }

    /// Ends when the worker has; it never speaks unasked.
    pub async fn gone(&mut self) -> String {
        let said = self.channel.receive::<FromWorker>().await;
        match said {
            Ok(_) => "the worker spoke unasked".to_string(),
            Err(_) => format!("the worker ended{}", self.status()),
        }
    }

    async fn exchange(&mut self, message: &ToWorker, files: &[BorrowedFd<'_>]) -> io::Result<FromWorker> {
        self.channel.send(message, files).await?;
        Ok(self.channel.receive().await?.0)
    }

    /// `, killed by SIGSEGV`, once that is known.
    fn status(&mut self) -> String {
        // The channel ends a moment before the process does; killed now, it would not say what ended it.
        let deadline = Instant::now() + ENDING;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(self.child.kill());
        match self.child.wait() {
            Ok(status) => format!(", {status}"),
            Err(_) => String::new(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const ENDING: Duration = Duration::from_millis(20);
