//! The work of an HTTP/1 connection to a backend (hyper's future of it), done by whoever has a request on it: in a task of its own
//! each request would be handed over twice, there and back.

use atomic_waker::AtomicWaker;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Wake, Waker};

type Work = Pin<Box<dyn Future<Output = ()>>>;

pub struct Drive {
    /// None: the connection is closed.
    work: Option<Work>,
    caller: Arc<Caller>,
    waker: Waker,
}

/// Whose task is woken when there is something to do: nobody's while the connection is idle. It outlives many of them, so that
/// the event loop need not be told of each.
#[derive(Default)]
struct Caller {
    task: AtomicWaker,
    /// It is at work right now, and will see by itself what there is to do.
    busy: AtomicBool,
    /// There was more to do while it was.
    again: AtomicBool,
}

impl Wake for Caller {
    fn wake(self: Arc<Caller>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Caller>) {
        match self.busy.load(Relaxed) {
            true => self.again.store(true, Relaxed),
            false => self.task.wake(),
        }
    }
}

impl Drive {
    pub fn new(work: impl Future<Output = ()> + 'static) -> Drive {
        let caller: Arc<Caller> = Arc::default();
        Drive { work: Some(Box::pin(work)), waker: caller.clone().into(), caller }
    }

    /// Waits for `wanted`, which only the work of this connection brings on. It is polled with a waker that wakes nobody.
    pub fn until<T>(&mut self, cx: &mut Context<'_>, mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let mut unheard = Context::from_waker(Waker::noop());
        self.caller.task.register(cx.waker());
        self.caller.busy.store(true, Relaxed);
        let mut polled = wanted(&mut unheard);
        for _ in 0..ROUNDS {
            if polled.is_ready() {
                break;
            }
            self.caller.again.store(false, Relaxed);
            self.work();
            polled = wanted(&mut unheard);
            if !self.caller.again.load(Relaxed) {
                break;
            }
        }
        self.caller.busy.store(false, Relaxed);
        if polled.is_pending() && self.caller.again.load(Relaxed) {
            cx.waker().wake_by_ref(); // others have their turn first
        }
        polled
    }

    /// What there is to do at once, for nobody: whether it was closed while it was idle.
    pub fn look(&mut self) {
        self.caller.task.take();
        self.work();
    }

    /// Goes on by itself to its end.
    pub async fn run(mut self) {
        if let Some(work) = self.work.take() {
            work.await;
        }
    }

    fn work(&mut self) {
        let mut cx = Context::from_waker(&self.waker);
        if self.work.as_mut().is_some_and(|work| work.as_mut().poll(&mut cx).is_ready()) {
            self.work = None;
        }
    }
}

/// So often it is asked for more at once.
const ROUNDS: usize = 4;

#[cfg(test)]
mod tests {
    use super::Drive;
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::{Context, Poll, Wake, Waker};

    /// A task that counts how often it was woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Task>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// Work that is told what to do: each turn takes one from `turns`, and asks to be woken at once where it says so.
    fn worker(turns: Rc<Cell<usize>>, eager: bool, waker: Rc<Cell<Option<Waker>>>) -> Drive {
        Drive::new(poll_fn(move |cx: &mut Context<'_>| {
            turns.set(turns.get() + 1);
            waker.set(Some(cx.waker().clone()));
            if eager {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        }))
    }

    #[test]
    fn the_caller_is_woken_by_what_comes_later_and_not_by_what_it_sees_itself() {
        let (turns, waker) = (Rc::default(), Rc::default());
        let mut drive = worker(Rc::clone(&turns), false, Rc::clone(&waker));
        let task = Arc::new(Task::default());
        let mine = Waker::from(task.clone());
        let mut cx = Context::from_waker(&mine);
        assert!(drive.until(&mut cx, |_| Poll::<()>::Pending).is_pending());
        assert_eq!((turns.get(), task.0.load(Relaxed)), (1, 0));
        waker.take().expect("it was polled").wake();
        assert_eq!(task.0.load(Relaxed), 1, "octets came");
        let mut asked = 0;
        let polled = drive.until(&mut cx, |_| {
            asked += 1;
            if asked > 1 { Poll::Ready(asked) } else { Poll::Pending }
        });
        assert_eq!((polled, turns.get()), (Poll::Ready(2), 2), "ready as soon as the work has brought it on");
    }

    #[test]
    fn work_that_always_wants_another_turn_lets_others_have_theirs() {
        let (turns, waker) = (Rc::default(), Rc::default());
        let mut drive = worker(Rc::clone(&turns), true, Rc::clone(&waker));
        let task = Arc::new(Task::default());
        let mine = Waker::from(task.clone());
        assert!(drive.until(&mut Context::from_waker(&mine), |_| Poll::<()>::Pending).is_pending());
        assert_eq!((turns.get(), task.0.load(Relaxed)), (super::ROUNDS, 1));
    }

    #[test]
    fn nobody_is_woken_for_an_idle_connection() {
        let (turns, waker) = (Rc::default(), Rc::default());
        let mut drive = worker(Rc::clone(&turns), false, Rc::clone(&waker));
        let task = Arc::new(Task::default());
        let mine = Waker::from(task.clone());
        assert!(drive.until(&mut Context::from_waker(&mine), |_| Poll::<()>::Pending).is_pending());
        drive.look();
        waker.take().expect("it was polled").wake();
        assert_eq!((turns.get(), task.0.load(Relaxed)), (2, 0));
    }
}
