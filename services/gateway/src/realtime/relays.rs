//! Handing out: at once, or in a very large room by a task of its own, so that it does not hold up the others.

use std::sync::Arc;

use tokio::time::Instant;

use super::hub::Hub;
use super::room::Room;

impl Hub {
    /// Hands what waits in a room to its watchers.
    pub(super) fn flush(self: &Arc<Self>, room: &Arc<Room>) {
        match room.begins_relay(self.relay_watchers) {
            None => {
                let (recipients, events) = room.flush(Instant::now());
                self.metrics.deliveries.inc_by((recipients * events) as u64);
            }
            Some(true) => {
                let relay = relay(Arc::clone(self), Arc::clone(room));
                self.lifecycle.accompany("relay", relay);
            }
            // The one that runs begins another round.
            Some(false) => {}
        }
    }
}

/// Hands out part by part until there is nothing new.
async fn relay(hub: Arc<Hub>, room: Arc<Room>) {
    while room.begins_round(Instant::now()) {
        let mut next = Some(0);
        while let Some(at) = next {
            let part = room.serve_part(at);
            hub.metrics.deliveries.inc_by(part.recipients as u64);
            next = part.next;
            tokio::task::yield_now().await;
        }
    }
}
