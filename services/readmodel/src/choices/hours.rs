//! Hours by the clock where somebody lives.

use jiff::ZonedDateTime;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use veza_events::Timestamp;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// The hours in which somebody wants to be left alone, in minutes since midnight where they live. Over midnight when
/// they end before they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// When they begin.
    pub from: u16,
    /// When they end.
    pub to: u16,
}

impl QuietHours {
    /// When they end, if they have begun; `zone` as for [`is_zone`].
    pub fn until(self, zone: Option<&str>, now: Timestamp) -> Option<Timestamp> {
        let clock = there(zone, now)?;
        let minute = i16::from(clock.hour()) * 60 + i16::from(clock.minute());
        let minute = u16::try_from(minute).unwrap_or_default();
        let gone = (minute + DAY - self.from % DAY) % DAY;
        let length = (self.to % DAY + DAY - self.from % DAY) % DAY;
        (gone < length).then(|| next_at(self.to, zone, now))
    }
}

/// When the clock there next shows `minute` of the day; where it is put forward over that, the moment behind.
pub fn next_at(minute: u16, zone: Option<&str>, now: Timestamp) -> Timestamp {
    let next = || {
        let clock = there(zone, now)?;
        let hour = i8::try_from(minute % DAY / 60).ok()?;
        let shown = Time::new(hour, i8::try_from(minute % 60).ok()?, 0, 0).ok()?;
        let on = |day: jiff::civil::Date| {
            day.to_datetime(shown)
                .to_zoned_datetime(clock.time_zone().clone())
                .ok()
        };
        let today = on(clock.date())?;
        let next = if today > clock {
            today
        } else {
            on(clock.date().tomorrow().ok()?)?
        };
        OffsetDateTime::from_unix_timestamp(next.timestamp().as_second()).ok()
    };
    // Only beyond the year 9999.
    next().map_or(now, Into::into)
}

/// Whether there is a time zone of that name (IANA, such as `Europe/Paris`).
pub fn is_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

/// What the clock shows; UTC where no zone is named, or none that is known any more.
fn there(zone: Option<&str>, now: Timestamp) -> Option<ZonedDateTime> {
    let zone = zone.and_then(|name| TimeZone::get(name).ok());
    let time = jiff::Timestamp::from_second(now.time().unix_timestamp()).ok()?;
    Some(time.to_zoned_datetime(zone.unwrap_or(TimeZone::UTC)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn quiet_hours_go_over_midnight_where_somebody_lives() {
        let night = QuietHours {
            from: 22 * 60,
            to: 7 * 60,
        };
        let until = |zone, now| night.until(zone, at(now)).map(|end| end.to_string());
        assert_eq!(until(None, "2026-01-01T21:59:00Z"), None);
        let end = Some("2026-01-02T07:00:00Z".to_owned());
        assert_eq!(until(None, "2026-01-01T22:00:00Z"), end);
        assert_eq!(until(None, "2026-01-02T06:59:59Z"), end);
        assert_eq!(until(None, "2026-01-02T07:00:00Z"), None);
        // An hour ahead in winter, two in summer.
        let paris = Some("Europe/Paris");
        assert!(until(paris, "2026-01-01T21:00:00Z").is_some());
        assert!(until(paris, "2026-01-01T20:59:00Z").is_none());
        assert!(until(paris, "2026-07-01T20:00:00Z").is_some());
        // In the night in which clocks there are put forward it ends an hour earlier.
        let end = Some("2026-03-29T05:00:00Z".to_owned());
        assert_eq!(until(paris, "2026-03-28T22:00:00Z"), end);
        let never = QuietHours { from: 60, to: 60 };
        assert_eq!(never.until(None, at("2026-01-01T01:00:00Z")), None);
    }

    #[test]
    fn the_next_time_is_always_to_come() {
        let next = |now| next_at(8 * 60, Some("Asia/Tokyo"), at(now)).to_string();
        assert_eq!(next("2026-01-01T22:59:00Z"), "2026-01-01T23:00:00Z");
        assert_eq!(next("2026-01-01T23:00:00Z"), "2026-01-02T23:00:00Z");
        assert!(is_zone("Asia/Tokyo") && !is_zone("Moon/Tycho"));
    }
}
