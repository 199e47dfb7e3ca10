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
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinHandle as Task, LocalSet, spawn_local};

pub struct Serving {
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

pub enum Order {
    Accept(Place, TcpListener),
    Close(Place),
    /// To look whether queries go round.
    Watch(Place, Weak<Chain>),
    /// To tell who connects there what is answered.
    Read(Arc<Watch>, UnixListener, Notes, mpsc::Receiver<Waiting>),
    /// Once nothing is under way, or the time is over.
    End(Duration),
}

impl Serving {
    pub fn start(state: Arc<ArcSwap<State>>, later: Later, misses: mpsc::Receiver<Miss>) -> Result<Serving, String> {
        let (orders, received) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("no event loop: {error}"))?;
        let work = move || {
            LocalSet::new()
                .block_on(&runtime, run(Resolver::new(state.clone()), Streams::new(state, later, 0), received, misses))
        };
        let thread = thread::Builder::new().name("streams".to_string()).spawn(work);
        Ok(Serving { orders, thread: Some(thread.map_err(|error| format!("no thread: {error}"))?) })
    }

    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    pub fn end(&mut self, within: Duration) {
        self.order(Order::End(within));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A query, once there is a place for it. Loses none when it is dropped: the place is taken first.
async fn next(resolver: &Resolver, misses: &mut mpsc::Receiver<Miss>) -> Option<(Miss, OwnedSemaphorePermit)> {
    let seat = resolver.under_way.clone().acquire_owned().await.ok()?;
    Some((misses.recv().await?, seat))
}

/// For answers that are held back to go.
const RELEASE: Duration = Duration::from_millis(10);

async fn run(
    resolver: Rc<Resolver>,
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
                Some(Order::End(within)) => {
                    release.notify_one();
                    tokio::time::sleep(RELEASE).await;
                    accepting.iter().for_each(|(_, task)| task.abort());
                    let _ = tokio::time::timeout(within, finish(&resolver, &streams, &mut misses)).await;
                    return;
                }
                None => return,
            },
            Some((miss, seat)) = next(&resolver, &mut misses) => begin(&resolver, miss, seat),
        }
    }
}

fn begin(resolver: &Rc<Resolver>, miss: Miss, seat: OwnedSemaphorePermit) {
    let resolver = resolver.clone();
    spawn_local(async move {
        resolver.answer(miss).await;
        drop(seat);
    });
}

/// Until there is no connection, and no query that others are asked for.
async fn finish(resolver: &Rc<Resolver>, streams: &Streams, misses: &mut mpsc::Receiver<Miss>) {
    let idle = async || {
        streams.idle().await;
        // `next` has taken one.
        drop(resolver.under_way.acquire_many(UNDER_WAY_MAX as u32 - 1).await);
    };
    loop {
        tokio::select! {
            biased;
            Some((miss, seat)) = next(resolver, misses) => begin(resolver, miss, seat),
            () = idle() => return,
        }
    }
}
