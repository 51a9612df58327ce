//! A limited number of slots for clients, and which client gives way when all are taken.
//!
//! ```text
//!   connected --> slot --> waits for its client's bytes --> is answered --> waits for its client to read --> leaves
//!                              |                                               |
//!                              +----- the longest wait of all, slots full -----+--> gives way
//! ```
//!
//! A client that sends nothing or little, or does not read, keeps its slot until another client needs it, so it delays
//! no other. One that is being served is never sent away. Each has at least [`SHORT_WAIT`] to send or read something
//! before it gives way: the original's client writes its line as soon as it is connected.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a client may keep others waiting for its slot.
const SHORT_WAIT: Duration = Duration::from_millis(100);

/// Clients at once that make the heap large enough to give memory back: each takes some 4 KiB.
const CROWD: usize = 32;

/// Why a wait for a client ended without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WaitEnd {
    /// The deadline has passed.
    #[error("after {} s", .0.as_secs())]
    Deadline(Duration),
    /// Others needed the slot.
    #[error("when others needed the slot: too many clients at once")]
    GaveWay,
}

/// The slots, and the waits for clients in them.
#[derive(Debug, Clone)]
pub(crate) struct ClientSlots {
    free: Arc<Semaphore>,
    all: usize,
    waiting: Arc<Mutex<Waiting>>,
}

/// The waits for clients, in the order in which they began.
#[derive(Debug, Default)]
struct Waiting {
    /// The most slots that were taken since all were free.
    most: usize,
    next: u64,
    waits: BTreeMap<u64, Wait>,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    gives_way: oneshot::Sender<()>,
}

/// Takes a wait off the list when it ends, however it ends.
struct OnList<'a> {
    waiting: &'a Mutex<Waiting>,
    number: u64,
}

impl Drop for OnList<'_> {
    fn drop(&mut self) {
        self.waiting.lock().waits.remove(&self.number);
    }
}

impl ClientSlots {
    /// `slots` free slots.
    pub(crate) fn new(slots: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(slots)), all: slots, waiting: Arc::default() }
    }

    /// Takes a slot for the next client: a free one, or else one whose client gives way.
    pub(crate) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let longest = self.waiting.lock().waits.values().next().map(|wait| wait.since);
            // If no client is waited for, all are being served, and soon leave or are waited for.
            let ripe = longest.unwrap_or_else(Instant::now) + SHORT_WAIT;
            tokio::select! {
                biased;
                slot = Arc::clone(&self.free).acquire_owned() => return slot.ok(),
                () = sleep_until(ripe) => self.turn_longest_away(),
            }
            // So that a client that gives way can leave before the next one must.
            yield_now().await;
        }
    }

    /// Gives a slot back; whether it was the last of a crowd.
    pub(crate) fn leave(&self, slot: OwnedSemaphorePermit) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.most = waiting.most.max(self.taken());
        drop(slot);
        let was_last = self.taken() == 0;
        let was_crowd = was_last && waiting.most >= CROWD;
        if was_last {
            waiting.most = 0;
        }
        was_crowd
    }

    fn taken(&self) -> usize {
        self.all.saturating_sub(self.free.available_permits())
    }

    /// Waits for a client, until `deadline` has passed or another client needs the slot.
    pub(crate) async fn wait_for<T>(
        &self,
        deadline: Duration,
        client: impl Future<Output = T>,
    ) -> Result<T, WaitEnd> {
        let (gives_way, turned_away) = oneshot::channel();
        let _on_list = self.list(gives_way);
        tokio::select! {
            biased;
            done = timeout(deadline, client) => done.map_err(|_| WaitEnd::Deadline(deadline)),
            _ = turned_away => Err(WaitEnd::GaveWay),
        }
    }

    fn list(&self, gives_way: oneshot::Sender<()>) -> OnList<'_> {
        let mut waiting = self.waiting.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.waits.insert(number, Wait { since: Instant::now(), gives_way });
        OnList { waiting: &self.waiting, number }
    }

    fn turn_longest_away(&self) {
        let mut waiting = self.waiting.lock();
        let is_ripe = |wait: &Wait| wait.since.elapsed() >= SHORT_WAIT;
        if waiting.waits.first_entry().is_some_and(|longest| is_ripe(longest.get()))
            && let Some((_, longest)) = waiting.waits.pop_first()
        {
            // It may have ended at this moment, which frees the slot as well.
            let _ = longest.gives_way.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const LONG: Duration = Duration::from_secs(3600);

    /// On a clock that jumps to the next deadline whenever all wait.
    fn run<T>(test: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(test)
    }

    #[test]
    fn the_longest_wait_gives_way_and_only_when_all_slots_are_taken() {
        run(async {
            let slots = ClientSlots::new(2);
            let mut clients = Vec::new();
            for _ in 0..2 {
                let slot = slots.take().await.unwrap();
                let slots = slots.clone();
                clients.push(tokio::spawn(async move {
                    let end = slots.wait_for(LONG, pending::<()>()).await;
                    drop(slot);
                    end
                }));
                yield_now().await;
            }
            assert_eq!(slots.waiting.lock().waits.len(), 2, "none has given way while there were slots");
            let _third = slots.take().await.unwrap();
            let second = clients.pop().unwrap();
            assert_eq!(clients.pop().unwrap().await.unwrap(), Err(WaitEnd::GaveWay));
            assert!(!second.is_finished(), "one slot was enough");
            let _fourth = slots.take().await.unwrap();
            assert_eq!(second.await.unwrap(), Err(WaitEnd::GaveWay));
            assert!(slots.waiting.lock().waits.is_empty());
        });
    }

    #[test]
    fn a_client_that_is_served_keeps_its_slot() {
        run(async {
            let slots = ClientSlots::new(1);
            let slot = slots.take().await.unwrap();
            assert_eq!(slots.wait_for(LONG, ready(7)).await, Ok(7));
            // It is served, and not waited for. The next client waits for this slot only.
            let next = slots.clone();
            let next = tokio::spawn(async move { next.take().await.is_some() });
            tokio::time::sleep(SHORT_WAIT * 3).await;
            assert!(!next.is_finished());
            drop(slot);
            assert!(next.await.unwrap());
        });
    }

    #[test]
    fn only_the_last_of_a_crowd_is_reported() {
        run(async {
            let slots = ClientSlots::new(CROWD);
            for (crowd, is_last) in [(CROWD, true), (CROWD - 1, false), (CROWD, true)] {
                let mut taken = Vec::new();
                for _ in 0..crowd {
                    taken.push(slots.take().await.unwrap());
                }
                let mut reported: Vec<bool> = taken.into_iter().map(|slot| slots.leave(slot)).collect();
                assert_eq!(reported.pop(), Some(is_last), "{crowd}");
                assert!(reported.iter().all(|last| !last), "{crowd}");
            }
        });
    }

    #[test]
    fn a_deadline_ends_a_wait_though_no_other_client_needs_the_slot() {
        run(async {
            let slots = ClientSlots::new(1);
            let deadline = Duration::from_millis(1);
            let end = slots.wait_for(deadline, pending::<()>()).await;
            assert_eq!(end, Err(WaitEnd::Deadline(deadline)));
            assert!(slots.waiting.lock().waits.is_empty());
        });
    }
}
