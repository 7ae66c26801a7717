//! What the WebSocket counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use veza_platform::telemetry::Metrics;

use super::frames::CloseCode;

/// Handles of the metrics. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct RealtimeMetrics {
    pub(super) sockets: Gauge,
    pub(super) rooms: Gauge,
    pub(super) watchers: Gauge,
    pub(super) queued_bytes: Gauge,
    pub(super) ring_bytes: Gauge,
    pub(super) events: Counter,
    pub(super) deliveries: Counter,
    pub(super) writes: Counter,
    pub(super) deflated_from: Counter,
    pub(super) deflated_to: Counter,
    pub(super) frames_read: Counter,
    pub(super) frames_refused: Counter,
    pub(super) closes: Family<Why, Counter>,
    pub(super) fills: Family<Why, Counter>,
    pub(super) unreadable: Counter,
    pub(super) typing: Counter,
    pub(super) typing_left_out: Counter,
    present: Gauge,
    presence_watched: Gauge,
}

/// A reason, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Why {
    why: &'static str,
}

impl RealtimeMetrics {
    /// Registers them.
    pub(super) fn new(metrics: &Metrics) -> Self {
        let this = Self::default();
        metrics.register(|registry| {
            let mut gauge =
                |name: &str, help: &str, gauge: &Gauge| registry.register(name, help, gauge.clone());
            gauge("realtime_sockets", "Open WebSockets", &this.sockets);
            gauge(
                "realtime_rooms",
                "Rooms that are watched or were a moment ago",
                &this.rooms,
            );
            gauge(
                "realtime_watchers",
                "Watched rooms, summed over all sockets",
                &this.watchers,
            );
            gauge(
                "realtime_queued_bytes",
                "Bytes that wait for their sockets",
                &this.queued_bytes,
            );
            gauge(
                "realtime_ring_bytes",
                "Bytes of recent events kept in memory",
                &this.ring_bytes,
            );
            gauge(
                "realtime_present",
                "Accounts that are here, or were a moment ago",
                &this.present,
            );
            gauge(
                "realtime_presence_watched",
                "Accounts whose presence somebody here watches",
                &this.presence_watched,
            );
            let mut counter =
                |name: &str, help: &str, counter: &Counter| registry.register(name, help, counter.clone());
            counter("realtime_events", "Events of watched rooms", &this.events);
            counter(
                "realtime_deliveries",
                "Events handed to sockets",
                &this.deliveries,
            );
            counter(
                "realtime_writes",
                "Writes to sockets; several events may share one",
                &this.writes,
            );
            counter(
                "realtime_deflated_from_bytes",
                "Bytes of events before they were compressed, once for all who asked",
                &this.deflated_from,
            );
            counter(
                "realtime_deflated_to_bytes",
                "Bytes of the same events after",
                &this.deflated_to,
            );
            counter("realtime_frames_read", "Frames from clients", &this.frames_read);
            counter(
                "realtime_frames_refused",
                "Frames from clients that were refused",
                &this.frames_refused,
            );
            counter(
                "realtime_events_unreadable",
                "Events that could not be decoded",
                &this.unreadable,
            );
            counter(
                "realtime_typing",
                "Times that a socket was told of somebody typing",
                &this.typing,
            );
            counter(
                "realtime_typing_left_out",
                "Times that a slow reader was not told of somebody typing",
                &this.typing_left_out,
            );
            registry.register(
                "realtime_closes",
                "Sockets that were closed, by reason",
                this.closes.clone(),
            );
            registry.register(
                "realtime_fills",
                "Gaps by how they were filled",
                this.fills.clone(),
            );
        });
        this
    }

    /// Notes how many accounts are here, and how many are watched.
    pub(super) fn presence(&self, here: usize, watched: usize) {
        self.present.set(i64::try_from(here).unwrap_or(i64::MAX));
        self.presence_watched
            .set(i64::try_from(watched).unwrap_or(i64::MAX));
    }

    /// Counts a socket that is closed by us.
    pub(super) fn closed(&self, code: CloseCode) {
        self.closes.get_or_create(&Why { why: code.reason() }).inc();
    }

    /// Counts a gap that is filled from `memory`, `log` or `read_model`, or ends in a `reset`.
    pub(super) fn filled(&self, why: &'static str) {
        self.fills.get_or_create(&Why { why }).inc();
    }
}
