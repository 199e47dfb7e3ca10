//! One connection to an upstream: many queries at a time, answers in any order (RFC 7766 6.2.1.1). Who asks waits; a task
//! of its own speaks and listens.

use super::dial::{Dial, said};
use super::random;
use crate::packet::HEADER_BYTES;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until, timeout};

pub struct Connection {
    pub born: Instant,
    /// Gone with the last who may ask: what is owed is still waited for.
    queries: mpsc::Sender<Vec<u8>>,
    state: Arc<State>,
}

struct State {
    held: Mutex<Held>,
    /// The last who waited has gone.
    freed: Notify,
}

/// The question, and where to send its answer.
type Waiting = (Box<[u8]>, oneshot::Sender<Vec<u8>>);

struct Held {
    /// By id.
    waiting: HashMap<u16, Waiting>,
    is_up: bool,
    /// Why there will be no more answers.
    ended: Option<String>,
    /// Since when an answer is owed and none has come.
    quiet_since: Option<Instant>,
    used: Instant,
    /// Messages that nobody waited for.
    foreign: usize,
}

impl Connection {
    /// Begins to connect. It closes when it was not used for as long as `expire`.
    pub fn open(dial: Arc<Dial>, expire: Duration) -> Connection {
        let born = Instant::now();
        let (queries, received) = mpsc::channel(WAITING_MAX);
        let held =
            Held { waiting: HashMap::new(), is_up: false, ended: None, quiet_since: None, used: born, foreign: 0 };
        let state = Arc::new(State { held: Mutex::new(held), freed: Notify::new() });
        spawn_local(run(dial, state.clone(), received, expire));
        Connection { born, queries, state }
    }

    pub fn is_up(&self) -> bool {
        self.state.held().is_up
    }

    pub fn has_ended(&self) -> bool {
        self.state.held().ended.is_some()
    }

    /// It owes answers, and has not said anything for a while.
    pub fn is_quiet(&self) -> bool {
        self.state.held().quiet_since.is_some_and(|since| since.elapsed() >= QUIET)
    }

    pub fn waiting(&self) -> usize {
        self.state.held().waiting.len()
    }

    /// The answer, with the id of `message`; or why the connection has ended.
    pub async fn ask(&self, message: &[u8], question_bytes: usize) -> Result<Vec<u8>, String> {
        let (sender, receiver) = oneshot::channel();
        let question = message[HEADER_BYTES..HEADER_BYTES + question_bytes].into();
        let turn = Turn::take(&self.state, u16::from_be_bytes([message[0], message[1]]), (question, sender))?;
        let length = (message.len() as u16).to_be_bytes();
        let framed = [&length[..], &turn.id.to_be_bytes(), &message[2..]].concat();
        self.queries.try_send(framed).map_err(|_| CROWDED.to_string())?;
        let ended = |_| self.state.held().ended.clone().unwrap_or_default();
        let mut answer = receiver.await.map_err(ended)?;
        answer[..2].copy_from_slice(&message[..2]);
        Ok(answer)
    }
}

/// A place among those who wait, until it is dropped.
struct Turn<'a> {
    state: &'a State,
    id: u16,
}

impl<'a> Turn<'a> {
    /// Another id, if somebody waits under this one.
    fn take(state: &'a State, mut id: u16, waiting: Waiting) -> Result<Turn<'a>, String> {
        let mut held = state.held();
        if let Some(why) = &held.ended {
            return Err(why.clone());
        }
        if held.waiting.len() >= WAITING_MAX {
            return Err(CROWDED.to_string());
        }
        while held.waiting.contains_key(&id) {
            id = random() as u16;
        }
        held.waiting.insert(id, waiting);
        held.quiet_since.get_or_insert_with(Instant::now);
        Ok(Turn { state, id })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut held = self.state.held();
        held.waiting.remove(&self.id);
        held.used = Instant::now();
        if held.waiting.is_empty() {
            held.quiet_since = None;
            self.state.freed.notify_one();
        }
    }
}

async fn run(dial: Arc<Dial>, state: Arc<State>, queries: mpsc::Receiver<Vec<u8>>, expire: Duration) {
    let to = dial.address;
    let why = match timeout(CONNECT, dial.connect()).await {
        Err(_) => format!("dial tcp {to}: i/o timeout"),
        Ok(Err(why)) => why,
        Ok(Ok(stream)) => {
            state.held().is_up = true;
            let (reader, writer) = tokio::io::split(stream);
            tokio::select! {
                Err(error) = state.listen(reader) => format!("read tcp {to}: {}", said(&error)),
                Err(error) = state.speak(writer, queries) => format!("write tcp {to}: {}", said(&error)),
                () = state.rest(expire) => String::new(),
            }
        }
    };
    let mut held = state.held();
    held.ended = Some(why);
    held.waiting.clear();
}

impl State {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    async fn listen(&self, reader: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut reader = BufReader::new(reader);
        loop {
            let length = usize::from(reader.read_u16().await?);
            if length < HEADER_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "what came is no DNS message"));
            }
            let mut message = vec![0; length];
            reader.read_exact(&mut message).await?;
            self.hear(message)?;
        }
    }

    /// What nobody waits for is passed over: it comes late, or was not asked for.
    fn hear(&self, message: Vec<u8>) -> io::Result<()> {
        let mut held = self.held();
        let id = u16::from_be_bytes([message[0], message[1]]);
        if !held.waiting.get(&id).is_some_and(|(question, _)| answers(&message, question)) {
            held.foreign += 1;
            let many = held.foreign > FOREIGN_MAX;
            return if many { Err(io::Error::other("too many answers that nobody asked for")) } else { Ok(()) };
        }
        held.quiet_since = Some(Instant::now());
        if let Some((_, sender)) = held.waiting.remove(&id) {
            let _ = sender.send(message);
        }
        if held.waiting.is_empty() {
            held.quiet_since = None;
        }
        Ok(())
    }

    /// Never well: it waits until there is nothing to wait for, which `rest` knows.
    async fn speak(&self, mut writer: impl AsyncWrite + Unpin, mut queries: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
        while let Some(framed) = queries.recv().await {
            let id = u16::from_be_bytes([framed[2], framed[3]]);
            if self.held().waiting.contains_key(&id) {
                writer.write_all(&framed).await?;
                writer.flush().await?;
            }
        }
        while !self.held().waiting.is_empty() {
            self.freed.notified().await;
        }
        Err(io::Error::other("it is not used any more"))
    }

    async fn rest(&self, expire: Duration) {
        loop {
            let until = {
                let mut held = self.held();
                let until = held.used + expire;
                if held.waiting.is_empty() && until <= Instant::now() {
                    // Nobody begins to wait from here on.
                    held.ended = Some(String::new());
                    return;
                }
                // It may be used meanwhile: then there is more time.
                if held.waiting.is_empty() { until } else { Instant::now() + expire.max(QUIET) }
            };
            sleep_until(until).await;
        }
    }
}

/// Whether a message is of this question. A server that does not understand it may leave it out.
fn answers(message: &[u8], question: &[u8]) -> bool {
    let bare = message[4..6] == [0, 0] && message[3] & 0xf != 0;
    bare || message[HEADER_BYTES..].get(..question.len()).is_some_and(|theirs| theirs.eq_ignore_ascii_case(question))
}

/// Of a connection and, with TLS, a handshake.
const CONNECT: Duration = Duration::from_millis(2500);
/// Who owes an answer for so long is not asked for more, and not kept if that fails.
const QUIET: Duration = Duration::from_millis(500);
const WAITING_MAX: usize = 256;
const FOREIGN_MAX: usize = 64;
const CROWDED: &str = "too many queries wait for this upstream";
