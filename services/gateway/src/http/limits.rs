//! How often one caller may ask (GCRA, per gateway). What each rate is stands in the settings `limits.*`.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue};
use veza_events::AccountId;
use veza_platform::config::LimitsConfig;
use veza_platform::contract::ProblemKind;

use super::problem::Failure;
use crate::server::caller_network;

/// Buckets that callers share once more of them are remembered than the settings allow.
const SHARED_BUCKETS: u64 = 1_024;
/// How often callers that have been quiet are forgotten.
pub(crate) const FORGET_EVERY: Duration = Duration::from_secs(10);

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// All rates of a gateway.
pub(crate) struct Limits {
    address: Meter<IpAddr>,
    account: Meter<AccountId>,
    sign_in_address: Meter<IpAddr>,
    sign_in_login: Meter<u64>,
    registration: Meter<IpAddr>,
    webhook: Meter<u64>,
    preview: Meter<AccountId>,
    report: Meter<AccountId>,
    /// Logins and digests are remembered as hashes under a key of this process.
    logins: RandomState,
}

/// How a caller stands with one rate (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    policy: &'static str,
    quota: u32,
    window: u64,
    remaining: u32,
    reset: u64,
}

/// What a rate says about one more request: how the caller stands, and the refusal if it is too much.
pub(super) type Verdict = (Rate, Result<(), Failure>);

impl Limits {
    /// The rates of the settings.
    pub(crate) fn new(config: &LimitsConfig) -> Self {
        let minute = Duration::from_mins(1);
        let hour = Duration::from_hours(1);
        let (per_address, burst) = (config.requests_per_minute_per_address, config.request_burst);
        let per_account = config.requests_per_minute_per_account;
        let (from, on) = (
            config.sign_in_per_minute_per_address,
            config.sign_in_per_minute_per_account,
        );
        let hooks = config.webhook_posts_per_minute;
        let most = config.tracked_callers;
        Self {
            address: Meter::new("address", "request.rate", per_address, minute, burst, most),
            account: Meter::new("account", "request.rate", per_account, minute, burst, most),
            sign_in_address: Meter::new("sign_in_address", "session.rate", from, minute, from, most),
            sign_in_login: Meter::new("sign_in", "session.rate", on, minute, on, most),
            registration: Meter::new(
                "registration",
                "account.rate",
                config.registrations_per_hour_per_address,
                hour,
                config.registrations_per_hour_per_address,
                most,
            ),
            preview: Meter::new(
                "preview",
                "message.preview_rate",
                config.previews_per_minute_per_account,
                minute,
                config.previews_per_minute_per_account,
                most,
            ),
            report: Meter::new(
                "report",
                "report.rate",
                config.reports_per_hour_per_account,
                hour,
                config.reports_per_hour_per_account,
                most,
            ),
            webhook: Meter::new("webhook", "webhook.rate", hooks, minute, hooks, most),
            logins: RandomState::new(),
        }
    }

    /// A request from `address` without a session.
    pub(crate) fn address(&self, address: IpAddr) -> Verdict {
        self.address.charge(caller_network(address))
    }

    /// A request of `account`.
    pub(crate) fn account(&self, account: AccountId) -> Verdict {
        self.account.charge(account)
    }

    /// A try to sign in or to refresh from `address`.
    pub(crate) fn sign_in_from(&self, address: IpAddr) -> Verdict {
        self.sign_in_address.charge(caller_network(address))
    }

    /// A try to sign in as `login`, wherever from.
    pub(crate) fn sign_in_as(&self, login: &str) -> Verdict {
        self.sign_in_login
            .charge(self.logins.hash_one(login.trim().to_lowercase()))
    }

    /// A new account from `address`.
    pub(crate) fn registration(&self, address: IpAddr) -> Verdict {
        self.registration.charge(caller_network(address))
    }

    /// A link that is looked at for `account`.
    pub(crate) fn preview(&self, account: AccountId) -> Verdict {
        self.preview.charge(account)
    }

    /// A report of a message by `account`.
    pub(crate) fn report(&self, account: AccountId) -> Verdict {
        self.report.charge(account)
    }

    /// A message by the webhook whose secret has this digest.
    pub(crate) fn webhook(&self, digest: &str) -> Verdict {
        self.webhook.charge(self.logins.hash_one(digest))
    }

    /// Forgets callers that have been quiet long enough to have their full rate again.
    pub(crate) fn forget_quiet(&self) {
        self.address.limiter.retain_recent();
        self.account.limiter.retain_recent();
        self.sign_in_address.limiter.retain_recent();
        self.sign_in_login.limiter.retain_recent();
        self.registration.limiter.retain_recent();
        self.webhook.limiter.retain_recent();
        self.preview.limiter.retain_recent();
        self.report.limiter.retain_recent();
    }
}

/// One caller, or the bucket it shares with others when too many are remembered.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Who<K> {
    One(K),
    Shared(u64),
}

type Limiter<K> = RateLimiter<Who<K>, DashMapStateStore<Who<K>>, DefaultClock, StateInformationMiddleware>;

struct Meter<K: Hash + Eq + Clone> {
    policy: &'static str,
    code: &'static str,
    quota: u32,
    window: Duration,
    most: usize,
    hasher: RandomState,
    clock: DefaultClock,
    limiter: Limiter<K>,
}

impl<K: Hash + Eq + Clone> Meter<K> {
    fn new(
        policy: &'static str,
        code: &'static str,
        quota: u32,
        window: Duration,
        burst: u32,
        most: usize,
    ) -> Self {
        let at_least_one = |count: u32| NonZeroU32::new(count.max(1)).expect("it is at least one");
        let every = window / at_least_one(quota).get();
        let rate = Quota::with_period(every).expect("a window has some length");
        let limiter = RateLimiter::dashmap(rate.allow_burst(at_least_one(burst)));
        Self {
            policy,
            code,
            quota,
            window,
            most,
            hasher: RandomState::new(),
            clock: DefaultClock::default(),
            limiter: limiter.with_middleware(),
        }
    }

    fn charge(&self, key: K) -> Verdict {
        let who = if self.limiter.len() < self.most {
            Who::One(key)
        } else {
            Who::Shared(self.hasher.hash_one(&key) % SHARED_BUCKETS)
        };
        match self.limiter.check_key(&who) {
            Ok(state) => (self.standing(&state), Ok(())),
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now());
                let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
                let rate = Rate {
                    remaining: 0,
                    reset: seconds(wait).max(1),
                    ..self.untouched()
                };
                let detail = format!("too many requests; try again in {} s", rate.reset);
                let refusal = Failure::new(ProblemKind::TooMany, self.code, detail);
                (rate, Err(refusal.retry_after_ms(milliseconds)))
            }
        }
    }

    fn untouched(&self) -> Rate {
        Rate {
            policy: self.policy,
            quota: self.quota,
            window: self.window.as_secs(),
            remaining: self.quota,
            reset: 0,
        }
    }

    fn standing(&self, state: &StateSnapshot) -> Rate {
        let (quota, remaining) = (state.quota(), state.remaining_burst_capacity());
        let missing = quota.burst_size().get().saturating_sub(remaining);
        Rate {
            remaining,
            reset: seconds(quota.replenish_interval() * missing),
            ..self.untouched()
        }
    }
}

impl Rate {
    /// Tells the caller how it stands.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        let Self {
            policy,
            quota,
            window,
            remaining,
            reset,
        } = self;
        let text = |text: String| HeaderValue::try_from(text).expect("numbers and names are ASCII");
        headers.insert(POLICY, text(format!("\"{policy}\";q={quota};w={window}")));
        headers.insert(STATE, text(format!("\"{policy}\";r={remaining};t={reset}")));
    }
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(config: &LimitsConfig) -> Limits {
        Limits::new(config)
    }

    #[test]
    fn after_the_burst_a_caller_is_told_when_to_come_again() {
        let limits = limits(&LimitsConfig {
            requests_per_minute_per_address: 6,
            request_burst: 2,
            ..LimitsConfig::default()
        });
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let (rate, verdict) = limits.address(one);
        assert!(verdict.is_ok());
        let mut headers = HeaderMap::new();
        rate.mark(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"address\";q=6;w=60");
        assert_eq!(headers["ratelimit"], "\"address\";r=1;t=10");
        assert!(limits.address(one).1.is_ok());
        let (rate, verdict) = limits.address(one);
        let refusal = verdict.unwrap_err();
        assert_eq!(
            (refusal.status_code().as_u16(), refusal.problem().code.as_str()),
            (429, "request.rate")
        );
        assert!(
            refusal
                .problem()
                .retry_after_ms
                .is_some_and(|wait| (1..=10_000).contains(&wait))
        );
        assert_eq!(rate.remaining, 0);
        assert!(
            limits.address("192.0.2.2".parse().unwrap()).1.is_ok(),
            "others are not concerned"
        );
    }

    #[test]
    fn tries_on_one_login_count_together_however_it_is_written() {
        let limits = limits(&LimitsConfig {
            sign_in_per_minute_per_account: 2,
            ..LimitsConfig::default()
        });
        assert!(limits.sign_in_as("ada").1.is_ok());
        assert!(limits.sign_in_as(" ADA ").1.is_ok());
        assert_eq!(
            limits.sign_in_as("Ada").1.unwrap_err().problem().code,
            "session.rate"
        );
    }

    #[test]
    fn no_more_callers_are_remembered_than_allowed() {
        let limits = limits(&LimitsConfig {
            tracked_callers: 3,
            ..LimitsConfig::default()
        });
        for last in 0..=255 {
            let _ = limits.address(IpAddr::from([192, 0, 2, last]));
        }
        let shared = usize::try_from(SHARED_BUCKETS).unwrap();
        assert!(limits.address.limiter.len() <= 3 + shared);
        limits.forget_quiet();
    }
}
