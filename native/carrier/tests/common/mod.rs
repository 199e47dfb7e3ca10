//! Runs the binary in network namespaces of the test's own.
#![allow(dead_code)] // Each test program uses a part.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const CARRIER: &str = env!("CARGO_BIN_EXE_fairlead-carrier");

/// A network namespace with `lo` up that lives as long as this value.
pub struct Namespace {
    holder: Child,
}

impl Namespace {
    /// None, with the reason printed, where neither root nor a user namespace can make one.
    pub fn make() -> Option<Namespace> {
        for how in [&["--net"][..], &["--user", "--map-root-user", "--net"]] {
            let script = "ip link set lo up && echo up && exec cat";
            let mut holder = Command::new("unshare")
                .args(how)
                .args(["sh", "-c", script])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("unshare runs (install util-linux)");
            let mut line = String::new();
            BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
            if line == "up\n" {
                return Some(Namespace { holder });
            }
            holder.wait().unwrap();
        }
        eprintln!("skipped: no network namespace can be made here (neither as root nor in a user namespace)");
        None
    }

    pub fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// A command that runs inside.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(CARRIER);
        command.args(["enter", "--keep-env", "--pid", &self.holder.id().to_string(), "--"]).args(words);
        command
    }

    /// Runs to the end; panics unless it succeeds. Returns standard output.
    pub fn run(&self, words: &[&str]) -> String {
        self.run_with(words, "")
    }

    pub fn run_with(&self, words: &[&str], input: &str) -> String {
        // What hangs fails.
        let output = feed(self.command(&[&["timeout", "120"], words].concat()), input);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the carrier and reads its one line of JSON.
    pub fn carrier(&self, words: &[&str], input: &str) -> Value {
        let text = self.run_with(&[&[CARRIER], words].concat(), input);
        serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{words:?}: {text}"))
    }

    pub fn start(&self, words: &[&str]) -> Running {
        Running::start(self.command(words))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// A process that is spoken to by lines, ended when dropped.
pub struct Running {
    pub child: Child,
    pub input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().unwrap());
        Running { input: child.stdin.take(), child, output }
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the output ended");
        line
    }

    pub fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    pub fn say(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Ends standard input, and reads the rest.
    pub fn finish(mut self) -> (String, i32) {
        drop(self.input.take());
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        (text, self.child.wait().unwrap().code().unwrap_or(-1))
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub fn feed(mut command: Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_string();
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Asks until it is true; panics after a minute.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "did not come true within 60 s: {what}");
        std::thread::yield_now();
    }
}
