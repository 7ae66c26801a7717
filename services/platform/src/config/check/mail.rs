//! Mail: a server that can be spoken to, and a sender.

use super::{Findings, is_loopback, scheme_is};
use crate::config::Config;

impl Findings {
    pub(super) fn mail(&mut self, config: &Config) {
        let mail = &config.mail;
        if !mail.is_on() {
            return;
        }
        let url = mail.smtp_url.expose();
        self.error(
            !scheme_is(url, &["smtp", "smtps", "smtp+starttls"]),
            "mail.smtp_url",
            "must be an address like smtps://user@host:465, smtp+starttls://user@host:587 or smtp://host:25",
        );
        let clear = url.starts_with("smtp://") && !is_loopback(url);
        let secret = !mail.password.is_empty() || mail.smtp_url.password().is_some();
        self.error(
            self.production && clear && secret,
            "mail.smtp_url",
            "sends a password in clear: use smtps:// or smtp+starttls://",
        );
        self.warn(
            self.production && clear && !secret,
            "mail.smtp_url",
            "leaves this machine without TLS: use smtps:// or smtp+starttls:// unless the network is private",
        );
        let user = url
            .split_once("://")
            .and_then(|(_, rest)| rest.rsplit_once('@'))
            .is_some_and(|(user, _)| !user.is_empty());
        self.error(
            secret && !user,
            "mail.smtp_url",
            "names no user for the password: smtps://user@host:465",
        );
        let from = mail.from.trim();
        let address = from
            .rsplit_once('<')
            .map_or(from, |(_, address)| address.trim_end_matches('>'));
        let whole = address
            .split_once('@')
            .is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty());
        self.error(
            !whole,
            "mail.from",
            "must be an address like Veza <noreply@example.org>",
        );
        self.error(
            mail.retry_delay_ms > mail.max_retry_delay_ms,
            "mail.retry_delay_ms",
            "must not be above mail.max_retry_delay_ms",
        );
        self.error(
            mail.daily_hour > 23,
            "mail.daily_hour",
            "must be an hour of the day, 0 to 23",
        );
    }
}
