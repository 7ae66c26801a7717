//! How many connections may be open: in all, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client_address::caller_network;

/// Open connections by address.
type Taken = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The seats of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    per_address: usize,
    taken: Taken,
}

/// The place of one open connection; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    _permit: OwnedSemaphorePermit,
    address: Option<(Taken, IpAddr)>,
}

impl Seats {
    /// `total` seats, of which one address takes at most `per_address`.
    pub(super) fn new(total: usize, per_address: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(total.min(Semaphore::MAX_PERMITS))),
            per_address,
            taken: Arc::default(),
        }
    }

    /// Waits until a seat is free. Who waits here leaves further connections in the system's queue.
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }

    /// Gives a free seat to a connection from `address`, unless that address has too many already.
    /// `None` counts for nobody: a proxy speaks for many.
    pub(super) fn take(&self, permit: OwnedSemaphorePermit, address: Option<IpAddr>) -> Option<Seat> {
        let Some(address) = address.map(caller_network) else {
            return Some(Seat {
                _permit: permit,
                address: None,
            });
        };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        Some(Seat {
            _permit: permit,
            address: Some((Arc::clone(&self.taken), address)),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((taken, address)) = &self.address else {
            return;
        };
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_cannot_take_all_seats_and_gives_them_back() {
        let seats = Seats::new(10, 2);
        let (one, two) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        let first = seats.take(seats.free().await, one).unwrap();
        let _second = seats.take(seats.free().await, one).unwrap();
        assert!(seats.take(seats.free().await, one).is_none());
        assert!(seats.take(seats.free().await, two).is_some());
        assert!(seats.take(seats.free().await, None).is_some());
        drop(first);
        assert!(seats.take(seats.free().await, one).is_some());
        assert_eq!(
            seats.taken.lock().unwrap().len(),
            1,
            "addresses without connections are forgotten"
        );
    }

    #[tokio::test]
    async fn when_all_seats_are_taken_the_next_one_waits() {
        let seats = Seats::new(1, 1);
        let seat = seats.take(seats.free().await, None).unwrap();
        let mut next = Box::pin(seats.free());
        assert!(futures::poll!(&mut next).is_pending());
        drop(seat);
        assert!(futures::poll!(&mut next).is_ready());
    }
}
