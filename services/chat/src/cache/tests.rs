use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::FutureExt;
use tokio::sync::oneshot;
use veza_events::space::{Changed, SpaceEvent};
use veza_platform::contract::ProblemKind;

use super::*;

type Answer = Result<u64, Problem>;

/// A source whose reads end when the test says so. The state is the names heard, in order.
#[derive(Clone, Default)]
struct Scripted(Arc<Script>);

#[derive(Default)]
struct Script {
    reads: AtomicUsize,
    answers: Mutex<VecDeque<oneshot::Receiver<Answer>>>,
}

impl Scripted {
    /// What the next read will answer, once it is sent: the sequence it saw.
    fn next_read(&self) -> oneshot::Sender<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.0.answers.lock().unwrap().push_back(receiver);
        sender
    }

    fn answers(&self, seq: u64) {
        self.next_read().send(Ok(seq)).unwrap();
    }

    fn reads(&self) -> usize {
        self.0.reads.load(Ordering::Relaxed)
    }
}

impl Source for Scripted {
    type Key = u8;
    type State = Vec<String>;
    const WHOLE: bool = false;

    async fn read(&self, _: u8, _: Option<Reading<Self>>) -> ReadResult<Self> {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        let answer = self
            .0
            .answers
            .lock()
            .unwrap()
            .pop_front()
            .expect("the test expects this read");
        let seq = answer.await.expect("the test answers")?;
        let state = vec![format!("read at {seq}")];
        Ok(Arc::new(Known { state, seq }))
    }

    fn apply(state: &mut Vec<String>, event: &Event, _: u64) {
        if let Event::Space(SpaceEvent::Changed(event)) = event {
            state.extend(event.name.clone());
        }
    }
}

fn cache() -> (Cache<Scripted>, Scripted) {
    let source = Scripted::default();
    (Cache::new(source.clone(), 100, Lookups::default()), source)
}

fn event(name: &str) -> Event {
    Event::Space(
        Changed {
            name: Some(name.into()),
            history: None,
            previews: None,
        }
        .into(),
    )
}

async fn seen(cache: &Cache<Scripted>) -> (u64, Vec<String>) {
    let known = cache.get(1).await.unwrap();
    (known.seq, known.state.clone())
}

#[tokio::test]
async fn an_aggregate_is_read_once_and_then_held() {
    let (cache, source) = cache();
    source.answers(5);
    assert_eq!(seen(&cache).await, (5, vec!["read at 5".into()]));
    assert_eq!(seen(&cache).await.0, 5);
    assert_eq!(source.reads(), 1);
    assert_eq!(cache.lookups.counts(), (1, 1));
}

#[tokio::test]
async fn all_who_ask_at_once_wait_for_one_read() {
    let (cache, source) = cache();
    let answer = source.next_read();
    let (mut first, mut second) = (Box::pin(cache.get(1)), Box::pin(cache.get(1)));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    answer.send(Ok(5)).unwrap();
    assert_eq!((first.await.unwrap().seq, second.await.unwrap().seq), (5, 5));
    assert_eq!(source.reads(), 1);
}

#[tokio::test]
async fn what_is_heard_is_applied_in_its_place() {
    let (cache, source) = cache();
    source.answers(5);
    seen(&cache).await;
    cache.hear(1, 7, 5, Some(&event("seven")));
    cache.hear(1, 7, 5, Some(&event("again")));
    cache.hear(1, 6, 5, Some(&event("late")));
    cache.hear(2, 9, 0, Some(&event("of another")));
    assert_eq!(seen(&cache).await, (7, vec!["read at 5".into(), "seven".into()]));
    assert_eq!(source.reads(), 1);
}

#[tokio::test]
async fn a_gap_or_an_unreadable_event_leads_to_another_read() {
    for (prev, heard) in [(6, Some(event("eight"))), (5, None)] {
        let (cache, source) = cache();
        source.answers(5);
        seen(&cache).await;
        cache.hear(1, 8, prev, heard.as_ref());
        source.answers(8);
        assert_eq!(seen(&cache).await, (8, vec!["read at 8".into()]));
    }
}

#[tokio::test]
async fn a_read_that_was_overtaken_by_the_feed_is_repeated() {
    let (cache, source) = cache();
    let answer = source.next_read();
    let mut asked = Box::pin(cache.get(1));
    assert!(asked.as_mut().now_or_never().is_none());
    cache.hear(1, 9, 5, Some(&event("nine")));
    source.answers(9);
    answer.send(Ok(5)).unwrap();
    assert_eq!(asked.await.unwrap().seq, 9);
    assert_eq!(source.reads(), 2);
}

#[tokio::test]
async fn a_slow_read_does_not_undo_what_was_heard_meanwhile() {
    let (cache, source) = cache();
    source.answers(5);
    seen(&cache).await;
    cache.doubt(1);
    let answer = source.next_read();
    let mut asked = Box::pin(cache.get(1));
    assert!(asked.as_mut().now_or_never().is_none());
    cache.hear(1, 7, 5, Some(&event("seven")));
    answer.send(Ok(5)).unwrap();
    assert_eq!(asked.await.unwrap().seq, 7);
    assert_eq!(seen(&cache).await, (7, vec!["read at 5".into(), "seven".into()]));
}

#[tokio::test]
async fn asking_anew_waits_for_a_read_that_began_after_the_question() {
    let (cache, source) = cache();
    let old = source.next_read();
    let mut first = Box::pin(cache.get(1));
    assert!(first.as_mut().now_or_never().is_none());
    let mut anew = Box::pin(cache.get_anew(1));
    assert!(anew.as_mut().now_or_never().is_none());
    let new = source.next_read();
    old.send(Ok(5)).unwrap();
    assert!(
        anew.as_mut().now_or_never().is_none(),
        "the read under way began too early"
    );
    new.send(Ok(6)).unwrap();
    assert_eq!(anew.await.unwrap().seq, 6);
    assert_eq!(source.reads(), 2);
    assert_eq!(first.await.unwrap().seq, 6);
}

#[tokio::test]
async fn a_failed_read_is_told_to_all_and_not_held() {
    let (cache, source) = cache();
    source
        .next_read()
        .send(Err(Problem::unavailable("away", 1)))
        .unwrap();
    assert_eq!(cache.get(1).await.unwrap_err().kind, ProblemKind::Unavailable);
    source.answers(5);
    assert_eq!(seen(&cache).await.0, 5);
}

#[tokio::test]
async fn after_a_gap_in_the_feed_everything_is_read_again() {
    let (cache, source) = cache();
    source.answers(5);
    seen(&cache).await;
    cache.clear();
    source.answers(6);
    assert_eq!(seen(&cache).await.0, 6);
}

#[tokio::test]
async fn a_read_that_everybody_gave_up_is_finished_by_who_comes_next() {
    let (cache, source) = cache();
    let answer = source.next_read();
    assert!(cache.get(1).now_or_never().is_none());
    answer.send(Ok(5)).unwrap();
    assert_eq!(seen(&cache).await.0, 5);
    assert_eq!(source.reads(), 1);
}

#[tokio::test]
async fn no_more_is_held_than_was_allowed() {
    let source = Scripted::default();
    let cache = Cache::new(source.clone(), 3, Lookups::default());
    for key in 0..50 {
        source.answers(u64::from(key));
        cache.get(key).await.unwrap();
    }
    cache.slots.run_pending_tasks();
    assert!(cache.len() <= 3);
}
