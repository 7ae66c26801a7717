//! One request on its way: what is known of it before it is routed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use poem::Request;
use uuid::Uuid;

use super::limits::{Rate, Verdict};
use super::problem::Failure;

/// What belongs to one request, from the door to its answer. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Visit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: Uuid,
    client: IpAddr,
    rate: Mutex<Option<Rate>>,
}

impl Visit {
    /// The visit that `request` begins.
    pub(super) fn begin(request: &Request, id: Uuid) -> Self {
        let client = request
            .remote_addr()
            .as_socket_addr()
            .map(std::net::SocketAddr::ip);
        Self(Arc::new(Inner {
            id,
            // Only requests made by hand in tests have no address.
            client: client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            rate: Mutex::default(),
        }))
    }

    /// The visit of a request that has come through the door.
    pub(super) fn of(request: &Request) -> &Self {
        request.data().expect("every request comes through the door")
    }

    /// Names the request in answers and logs.
    pub(super) fn id(&self) -> Uuid {
        self.0.id
    }

    /// Address of the client.
    pub(super) fn client(&self) -> IpAddr {
        self.0.client
    }

    /// Takes note of how the caller stands with a rate, to be told in the answer; the last note counts.
    ///
    /// # Errors
    /// The refusal, when it is too much.
    pub(super) fn charged(&self, (rate, verdict): Verdict) -> Result<(), Failure> {
        *self.rate() = Some(rate);
        verdict
    }

    pub(super) fn standing(&self) -> Option<Rate> {
        *self.rate()
    }

    fn rate(&self) -> std::sync::MutexGuard<'_, Option<Rate>> {
        self.0.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
