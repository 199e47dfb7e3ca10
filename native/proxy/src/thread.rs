//! One of the threads that serve, each an event loop of its own: connections, and those to backends, never leave it.

use crate::client::connection::{Closing, serve};
use crate::later;
use crate::record::metrics::Metrics;
use crate::record::refusals::Told;
use crate::record::writer::Writer;
use crate::stream::datagrams;
use crate::table::State;
use crate::upstream::pool::Pool;
use arc_swap::ArcSwap;
use hyper::header::HeaderValue;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

pub struct Thread {
    shared: Arc<ArcSwap<State>>,
    /// The state as of the last look, so that each request takes a count that no other thread takes.
    held: RefCell<Rc<Held>>,
    pub pool: Rc<Pool>,
    pub metrics: Arc<Metrics>,
    pub log: Writer,
    pub told: RefCell<Told>,
    seed: Cell<u64>,
    /// Requests whose copies are under way.
    pub mirrors: Cell<usize>,
    under_way: Cell<usize>,
    left: Notify,
}

/// A state that this thread counts the users of by itself.
pub struct Held(Arc<State>);

impl Deref for Held {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

pub enum Order {
    Accept(SocketAddr, TcpListener),
    Receive(SocketAddr, UdpSocket),
    Close(SocketAddr, Transport),
    /// As soon as nothing is under way, or the time is over.
    End(Duration),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    Tcp,
    Udp,
}

/// The end of a thread that gives it orders.
pub struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
    pub metrics: Arc<Metrics>,
}

impl Handle {
    pub fn start(number: usize, shared: Arc<ArcSwap<State>>, log: Writer) -> Result<Handle, String> {
        let (orders, received) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("no event loop: {error}"))?;
        let metrics: Arc<Metrics> = Arc::default();
        let own = metrics.clone();
        let work = move || LocalSet::new().block_on(&runtime, Thread::new(shared, own, log).run(received));
        let thread = std::thread::Builder::new().name(format!("proxy-{number}")).spawn(work);
        Ok(Handle { orders, thread: Some(thread.map_err(|error| format!("no thread: {error}"))?), metrics })
    }

    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    pub fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Door {
    /// None: it ends when it is told.
    accepting: Option<AbortHandle>,
    closing: Rc<Closing>,
}

impl Thread {
    fn new(shared: Arc<ArcSwap<State>>, metrics: Arc<Metrics>, log: Writer) -> Rc<Thread> {
        Rc::new(Thread {
            held: RefCell::new(Rc::new(Held(shared.load_full()))),
            shared,
            metrics,
            log,
            told: RefCell::default(),
            pool: Rc::default(),
            seed: Cell::new(RandomState::new().hash_one(0) | 1),
            mirrors: Cell::new(0),
            under_way: Cell::new(0),
            left: Notify::new(),
        })
    }

    async fn run(self: Rc<Thread>, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut doors: HashMap<(SocketAddr, Transport), Door> = HashMap::new();
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let order = tokio::select! {
                order = orders.recv() => order,
                _ = sweep.tick() => {
                    self.pool.sweep();
                    drop(self.state()); // an old one is not held by a thread that has nothing to do
                    continue;
                }
            };
            match order {
                Some(Order::Accept(place, listener)) => {
                    let closing = Rc::new(Closing::default());
                    let accepting = spawn_local(self.clone().accept(place, listener, closing.clone())).abort_handle();
                    doors.insert((place, Transport::Tcp), Door { accepting: Some(accepting), closing });
                }
                Some(Order::Receive(place, socket)) => {
                    let closing = Rc::new(Closing::default());
                    self.spawn(datagrams::receive(self.clone(), place, socket, closing.clone()));
                    doors.insert((place, Transport::Udp), Door { accepting: None, closing });
                }
                Some(Order::Close(place, transport)) => {
                    doors.remove(&(place, transport)).into_iter().for_each(|door| door.close(None));
                }
                Some(Order::End(within)) => {
                    doors.drain().for_each(|(_, door)| door.close(Some(within)));
                    let _ = timeout(within, self.idle()).await;
                    return later::write_due();
                }
                None => return,
            }
        }
    }

    async fn accept(self: Rc<Thread>, place: SocketAddr, listener: TcpListener, closing: Rc<Closing>) {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        loop {
            if self.under_way.get() >= CONNECTIONS_MAX {
                self.left.notified().await;
                continue;
            }
            match listener.accept().await {
                Ok((stream, peer)) => self.spawn(serve(self.clone(), place, stream, peer, closing.clone())),
                Err(_) => sleep(RETRY).await, // out of descriptors, or the client has gone already
            }
        }
    }

    /// Something that is waited for at the end.
    pub fn spawn(self: &Rc<Thread>, work: impl Future<Output = ()> + 'static) {
        let count = Count::new(self.clone());
        spawn_local(async move {
            work.await;
            drop(count);
        });
    }

    async fn idle(&self) {
        while self.under_way.get() > 0 {
            self.left.notified().await;
        }
    }

    pub fn state(&self) -> Rc<Held> {
        let now = self.shared.load();
        let mut held = self.held.borrow_mut();
        if !Arc::ptr_eq(&held.0, &now) {
            *held = Rc::new(Held(now.clone()));
        }
        held.clone()
    }

    /// A number by chance, not fit for secrets (xorshift64*).
    pub fn chance(&self) -> u64 {
        let mut seed = self.seed.get();
        seed ^= seed >> 12;
        seed ^= seed << 25;
        seed ^= seed >> 27;
        self.seed.set(seed);
        seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 32 hex digits, as nginx's `$req_id`.
    pub fn request_id(&self) -> HeaderValue {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for half in text.chunks_mut(16) {
            let chance = self.chance();
            half.iter_mut().enumerate().for_each(|(at, digit)| *digit = HEX[(chance >> (at * 4)) as usize & 15]);
        }
        HeaderValue::from_bytes(&text).expect("hex digits can be sent")
    }
}

struct Count(Rc<Thread>);

impl Count {
    fn new(thread: Rc<Thread>) -> Count {
        thread.under_way.set(thread.under_way.get() + 1);
        Count(thread)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
        self.0.left.notify_waiters();
    }
}

impl Door {
    /// None: as long as the listener allows.
    fn close(self, within: Option<Duration>) {
        self.accepting.inspect(AbortHandle::abort);
        self.closing.close(within);
    }
}

const SWEEP: Duration = Duration::from_secs(1);
const CONNECTIONS_MAX: usize = 50_000;
const RETRY: Duration = Duration::from_millis(10);
