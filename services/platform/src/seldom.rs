//! Sources that seldom wake a task which others wake often.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// One of the things a task waits for. It is polled only when it was this one that woke the task: a poll may take
/// locks or copy bytes, and thousands of tasks may be woken by something else.
#[derive(Debug)]
pub struct Seldom {
    source: Arc<Source>,
    /// Wakes by `source`.
    waker: Waker,
}

#[derive(Debug)]
struct Source {
    woke: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Source {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woke.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Default for Seldom {
    fn default() -> Self {
        let source = Arc::new(Source {
            woke: AtomicBool::new(true),
            task: AtomicWaker::new(),
        });
        Self {
            waker: Arc::clone(&source).into(),
            source,
        }
    }
}

impl Seldom {
    /// Polls the source if it may have something: the first time, after it woke the task, and after it was ready.
    pub fn poll<T>(&self, cx: &Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.source.task.register(cx.waker());
        if !self.source.woke.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.source.woke.store(true, Ordering::Release);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_is_polled_when_it_has_something_and_not_when_others_wake() {
        let (sender, mut receiver) = mpsc::channel(4);
        let sent = async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            for number in 0..3 {
                sender.send(number).await.unwrap();
            }
        };
        let (seldom, mut polls, mut wakes, mut got) = (Seldom::default(), 0, 0, Vec::new());
        let mut often = tokio::time::interval(Duration::from_secs(1));
        let polling = poll_fn(|cx| {
            while often.poll_tick(cx).is_ready() {
                wakes += 1;
            }
            loop {
                let polled = seldom.poll(cx, |cx| {
                    polls += 1;
                    pin!(receiver.recv()).poll(cx)
                });
                match polled {
                    Poll::Ready(Some(number)) => got.push(number),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        tokio::join!(sent, polling);
        assert_eq!(got, [0, 1, 2]);
        assert!(wakes >= 10 && polls <= 7, "{wakes} wakes, {polls} polls");
    }
}
