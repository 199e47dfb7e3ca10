//! The event loop: connections, and queries that take asking others.

use crate::answer::State;
use crate::circle::watch;
use crate::later::{Later, Miss};
use crate::notes::Notes;
use crate::readers;
use crate::resolve::{Resolver, UNDER_WAY_MAX};
use crate::step::Chain;
use crate::stream::Streams;
use crate::watch::{Waiting, Watch};
use arc_swap::ArcSwap;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use supervisor::Place;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::{JoinHandle as Task, LocalSet, spawn_local};

pub struct Serving {
    orders: mpsc::UnboundedSender<Order>,
    /// To the loop of TLS; there is none until somebody listens for it.
    tls: Option<mpsc::UnboundedSender<Order>>,
    threads: Vec<JoinHandle<()>>,
    state: Arc<ArcSwap<State>>,
    later: Later,
}

pub enum Order {
    Accept(Place, TcpListener),
    Close(Place),
    /// To look whether queries go round.
    Watch(Place, Weak<Chain>),
    /// To tell who connects there what is answered.
    Read(Arc<Watch>, UnixListener, Notes, mpsc::Receiver<Waiting>),
    /// Once nothing is under way, here and where `before` comes from, or the time is over; `after` hears of it.
    End {
        within: Duration,
        before: Option<oneshot::Receiver<()>>,
        after: Option<oneshot::Sender<()>>,
    },
}

impl Serving {
    pub fn start(state: Arc<ArcSwap<State>>, later: Later, misses: mpsc::Receiver<Miss>) -> Result<Serving, String> {
        let (held, queue) = (state.clone(), later.clone());
        let (orders, thread) = event_loop("streams", move |received| {
            run(Some(Resolver::new(state.clone())), Streams::new(state, later, PLAIN_LANE), received, misses)
        })?;
        Ok(Serving { orders, threads: vec![thread], tls: None, state: held, later: queue })
    }

    pub fn order(&mut self, order: Order) {
        let to = match &order {
            Order::Accept(place, _) | Order::Close(place) if place.transport == "tls" => self.tls(),
            _ => &self.orders,
        };
        let _ = to.send(order);
    }

    /// Connections over TLS have a loop of their own: however many clients shake hands, queries that take asking others and
    /// connections without TLS do not wait for them.
    fn tls(&mut self) -> &mpsc::UnboundedSender<Order> {
        if self.tls.is_none() {
            let (state, later) = (self.state.clone(), self.later.clone());
            let begun = event_loop("tls", move |received| {
                let (_, nobody) = mpsc::channel(1);
                run(None, Streams::new(state, later, TLS_LANE), received, nobody)
            });
            match begun {
                Ok((orders, thread)) => {
                    self.threads.push(thread);
                    self.tls = Some(orders);
                }
                Err(problem) => eprintln!("dns: TLS shares the loop of other connections: {problem}"),
            }
        }
        self.tls.as_ref().unwrap_or(&self.orders)
    }

    pub fn end(&mut self, within: Duration) {
        // What clients of TLS asked is fetched by the other loop.
        let (after, before) = oneshot::channel();
        let before = self.tls.as_ref().map(|tls| {
            let _ = tls.send(Order::End { within, before: None, after: Some(after) });
            before
        });
        let _ = self.orders.send(Order::End { within, before, after: None });
        self.threads.drain(..).rev().for_each(|thread| drop(thread.join()));
    }
}

/// A thread that does what it is ordered.
fn event_loop<Work: Future<Output = ()>>(
    name: &str,
    work: impl FnOnce(mpsc::UnboundedReceiver<Order>) -> Work + Send + 'static,
) -> Result<(mpsc::UnboundedSender<Order>, JoinHandle<()>), String> {
    let (orders, received) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no event loop: {error}"))?;
    let begin = move || LocalSet::new().block_on(&runtime, async { work(received).await });
    let thread = thread::Builder::new().name(name.to_string()).spawn(begin);
    Ok((orders, thread.map_err(|error| format!("no thread: {error}"))?))
}

/// A query, once there is a place for it. Loses none when it is dropped: the place is taken first.
async fn next(
    resolver: Option<&Rc<Resolver>>,
    misses: &mut mpsc::Receiver<Miss>,
) -> Option<(Rc<Resolver>, Miss, OwnedSemaphorePermit)> {
    let resolver = resolver?;
    let seat = resolver.under_way.clone().acquire_owned().await.ok()?;
    Some((resolver.clone(), misses.recv().await?, seat))
}

/// For answers that are held back to go.
const RELEASE: Duration = Duration::from_millis(10);
/// Of the counters; those of UDP come behind them.
const PLAIN_LANE: usize = 0;
const TLS_LANE: usize = 1;

async fn run(
    resolver: Option<Rc<Resolver>>,
    streams: Rc<Streams>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mut misses: mpsc::Receiver<Miss>,
) {
    let release = Arc::new(Notify::new());
    let mut accepting: Vec<(Place, Task<()>)> = Vec::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Accept(place, listener)) => {
                    let task = spawn_local(streams.clone().accept(listener, place.clone()));
                    accepting.push((place, task));
                }
                Some(Order::Close(place)) => {
                    accepting.iter().filter(|(held, _)| *held == place).for_each(|(_, task)| task.abort());
                    accepting.retain(|(held, _)| *held != place);
                }
                Some(Order::Watch(place, chain)) => {
                    spawn_local(watch(chain, place, streams.later.clone()));
                }
                Some(Order::Read(watch, listener, notes, queue)) => {
                    spawn_local(readers::serve(watch, listener, notes, queue, release.clone()));
                }
                Some(Order::End { within, before, after }) => {
                    release.notify_one();
                    tokio::time::sleep(RELEASE).await;
                    accepting.iter().for_each(|(_, task)| task.abort());
                    let _ = tokio::time::timeout(within, finish(resolver.as_ref(), &streams, &mut misses, before)).await;
                    drop(after);
                    return;
                }
                None => return,
            },
            Some((resolver, miss, seat)) = next(resolver.as_ref(), &mut misses) => begin(resolver, miss, seat),
        }
    }
}

fn begin(resolver: Rc<Resolver>, miss: Miss, seat: OwnedSemaphorePermit) {
    spawn_local(async move {
        resolver.answer(miss).await;
        drop(seat);
    });
}

/// Until there is no connection, here and where `before` comes from, and no query that others are asked for.
async fn finish(
    resolver: Option<&Rc<Resolver>>,
    streams: &Streams,
    misses: &mut mpsc::Receiver<Miss>,
    before: Option<oneshot::Receiver<()>>,
) {
    let mut before = before;
    let mut idle = async || {
        streams.idle().await;
        if let Some(other) = &mut before {
            let _ = other.await;
            before = None;
        }
        if let Some(resolver) = resolver {
            // `next` has taken one.
            drop(resolver.under_way.acquire_many(UNDER_WAY_MAX as u32 - 1).await);
        }
    };
    loop {
        tokio::select! {
            biased;
            Some((resolver, miss, seat)) = next(resolver, misses) => begin(resolver, miss, seat),
            () = idle() => return,
        }
    }
}
