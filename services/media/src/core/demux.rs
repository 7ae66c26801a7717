//! Whose a datagram is: by the address it comes from, or by the name in a STUN request. One lookup each, however many
//! sessions there are.

use std::{collections::HashMap, net::SocketAddr};

use str0m::ice::StunMessage;

use super::PeerKey;

/// Addresses from which one peer is heard; a phone that wanders has a few.
pub(crate) const MAX_ADDRESSES: usize = 32;
/// First bytes of STUN are below this (RFC 7983).
const STUN_BELOW: u8 = 4;

/// The tables.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    by_address: HashMap<SocketAddr, PeerKey>,
    by_name: HashMap<String, PeerKey>,
}

impl Demux {
    /// A session with this name has begun.
    pub(crate) fn expect(&mut self, ufrag: String, key: PeerKey) {
        self.by_name.insert(ufrag, key);
    }

    /// A session goes on under another name.
    pub(crate) fn rename(&mut self, old: &str, new: String, key: PeerKey) {
        self.by_name.remove(old);
        self.by_name.insert(new, key);
    }

    /// A session has ended.
    pub(crate) fn forget(&mut self, ufrag: &str, key: PeerKey) {
        self.by_name.remove(ufrag);
        self.forget_addresses(key);
    }

    pub(crate) fn forget_addresses(&mut self, key: PeerKey) {
        self.by_address.retain(|_, known| *known != key);
    }

    /// Datagrams from this address are those of `key` from now on.
    pub(crate) fn learn(&mut self, address: SocketAddr, key: PeerKey) {
        self.by_address.insert(address, key);
    }

    pub(crate) fn at(&self, address: SocketAddr) -> Option<PeerKey> {
        self.by_address.get(&address).copied()
    }

    pub(crate) fn named(&self, ufrag: &str) -> Option<PeerKey> {
        self.by_name.get(ufrag).copied()
    }
}

/// The name of the session that a STUN request is for; `None` for everything else.
pub(crate) fn ufrag_of(bytes: &[u8]) -> Option<String> {
    if bytes.first().is_none_or(|first| *first >= STUN_BELOW) {
        return None;
    }
    let message = StunMessage::parse(bytes).ok()?;
    Some(message.split_username()?.0.to_owned())
}
