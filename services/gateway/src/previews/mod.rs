//! What is shown of pages that messages link to. Nothing of it is a fact of the log: a page is looked at when
//! somebody wants to see it, and what was found is forgotten after a while. Readers never ask the page's server
//! themselves, so it learns nothing of them; pictures come from here, made anew.

mod links;
mod page;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use moka::future::Cache;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use serde::{Deserialize, Serialize};
use veza_platform::config::PreviewsConfig;
use veza_platform::outgoing::{Longer, Outgoing, Url, Want};
use veza_platform::telemetry::Metrics;
use veza_readmodel::ReadModel;

use crate::digest;
use crate::files::{Intake, Shown};
use crate::http::Failure;

/// How long this process remembers what it has just looked up; longer is a matter of Redis.
const RECENT: Duration = Duration::from_mins(1);
/// Links whose pages are remembered so.
const RECENT_LINKS: u64 = 10_000;
/// Digits of a link's id.
const ID_DIGITS: usize = 32;
/// What a picture in the cache costs besides its bytes.
const PICTURE_OVERHEAD: u32 = 256;

/// What is shown of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Preview {
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) site: Option<String>,
    pub(crate) picture: Option<PictureOf>,
}

/// The picture of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PictureOf {
    /// Where it lies; told to nobody.
    url: String,
    /// As it is shown.
    pub(crate) width: u32,
    /// As it is shown.
    pub(crate) height: u32,
    pub(crate) blur_hash: String,
}

/// A link of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<'a>(pub(crate) &'a str);

impl Link<'_> {
    /// Names the link in addresses.
    pub(crate) fn id(self) -> String {
        let mut name = digest::name_of(&[b"link", self.0.as_bytes()]);
        name.truncate(ID_DIGITS);
        name
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    /// `memory`, `redis`, `page`, or `nothing` where the page gave none.
    source: &'static str,
}

/// Looks at pages.
pub(crate) struct Previews {
    config: PreviewsConfig,
    outgoing: Outgoing,
    read: ReadModel,
    recent: Cache<String, Option<Arc<Preview>>>,
    pictures: Cache<String, Option<Arc<Shown>>>,
    counts: Family<Source, Counter>,
}

impl Previews {
    pub(crate) fn new(
        config: &PreviewsConfig,
        outgoing: Outgoing,
        read: ReadModel,
        metrics: &Metrics,
    ) -> Self {
        let counts = Family::<Source, Counter>::default();
        metrics.register(|registry| {
            let help = "Links that somebody wanted to see something of, by where it came from";
            registry.register("gateway_previews", help, counts.clone());
        });
        let weigh = |_: &String, shown: &Option<Arc<Shown>>| {
            let bytes = shown.as_ref().map_or(0, |shown| shown.small.bytes.len());
            u32::try_from(bytes)
                .unwrap_or(u32::MAX)
                .saturating_add(PICTURE_OVERHEAD)
        };
        Self {
            config: config.clone(),
            outgoing,
            read,
            recent: Cache::builder()
                .max_capacity(RECENT_LINKS)
                .time_to_live(RECENT)
                .build(),
            pictures: Cache::builder()
                .max_capacity(config.cached_picture_bytes)
                .weigher(weigh)
                .time_to_live(Duration::from_secs(config.found_ttl_s))
                .build(),
            counts,
        }
    }

    /// The way to servers that people name.
    pub(crate) fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// The links of a text that something is shown of.
    pub(crate) fn links<'a>(&self, text: &'a str) -> Vec<Link<'a>> {
        if !self.config.enabled {
            return Vec::new();
        }
        links::links(text, self.config.max_links)
            .into_iter()
            .map(Link)
            .collect()
    }

    /// What is shown of the page behind `link`. `charge` is asked before the page is.
    ///
    /// # Errors
    /// The refusal of `charge`; `platform.internal`.
    pub(crate) async fn of(
        &self,
        link: Link<'_>,
        intake: &Intake,
        charge: impl Fn() -> Result<(), Failure>,
    ) -> Result<Option<Arc<Preview>>, Failure> {
        let name = digest::name_of(&[b"preview", link.0.as_bytes()]);
        if let Some(known) = self.recent.get(&name).await {
            self.count("memory");
            return Ok(known);
        }
        if let Some(kept) = self.kept(&name).await {
            self.count("redis");
            self.recent.insert(name, kept.clone()).await;
            return Ok(kept);
        }
        charge()?;
        // Whoever wants the same at the same time waits for this one.
        let looked = self.recent.get_with(name.clone(), async {
            let found = self.look(link, intake).await.map(Arc::new);
            self.count(if found.is_some() { "page" } else { "nothing" });
            self.keep(&name, found.as_deref()).await;
            found
        });
        Ok(Box::pin(looked).await)
    }

    /// The picture of a preview. `charge` is asked before its server is.
    ///
    /// # Errors
    /// The refusal of `charge`.
    pub(crate) async fn picture(
        &self,
        of: &PictureOf,
        intake: &Intake,
        charge: impl Fn() -> Result<(), Failure>,
    ) -> Result<Option<Arc<Shown>>, Failure> {
        let Ok(url) = self.outgoing.address(&of.url) else {
            return Ok(None);
        };
        if !self.pictures.contains_key(&picture_key(&url)) {
            charge()?;
        }
        Ok(self.shown(url, intake).await)
    }

    async fn kept(&self, name: &str) -> Option<Option<Arc<Preview>>> {
        let kept = self.read.scrap(name).await?;
        // What another version has kept is looked up again.
        serde_json::from_str(&kept).ok()
    }

    async fn keep(&self, name: &str, found: Option<&Preview>) {
        let seconds = match found {
            Some(_) => self.config.found_ttl_s,
            None => self.config.nothing_ttl_s,
        };
        let Ok(value) = serde_json::to_string(&found) else {
            return;
        };
        let life = Duration::from_secs(seconds);
        self.read
            .keep_scrap(name, &value, life, self.config.cached_pages)
            .await;
    }

    async fn look(&self, link: Link<'_>, intake: &Intake) -> Option<Preview> {
        let url = self.outgoing.address(link.0).ok()?;
        let want = Want {
            accept: "text/html,application/xhtml+xml;q=0.9,image/*;q=0.8",
            accepts: &|head| is(head, "text/html") || is(head, "application/xhtml+xml") || is(head, "image/"),
            max_bytes: self.config.max_page_bytes,
            longer: Longer::Cut,
        };
        let answer = self.outgoing.get(&url, want).await.ok()?;
        if !answer.status.is_success() {
            return None;
        }
        let (page, picture) = if is(&answer.headers, "image/") {
            (page::Page::default(), Some(answer.url))
        } else {
            let page = page::read(&answer.body, content_type(&answer.headers));
            let picture = page.picture.as_deref().and_then(|at| answer.url.join(at).ok());
            (page, picture)
        };
        let picture = match picture {
            Some(url) => self.picture_of(url, intake).await,
            None => None,
        };
        let shows = page.title.is_some() || page.description.is_some() || picture.is_some();
        shows.then_some(Preview {
            title: page.title,
            description: page.description,
            site: page.site,
            picture,
        })
    }

    async fn picture_of(&self, url: Url, intake: &Intake) -> Option<PictureOf> {
        let shown = self.shown(url.clone(), intake).await?;
        Some(PictureOf {
            url: url.into(),
            width: shown.small.width,
            height: shown.small.height,
            blur_hash: shown.blur_hash.clone(),
        })
    }

    async fn shown(&self, url: Url, intake: &Intake) -> Option<Arc<Shown>> {
        let key = picture_key(&url);
        let fetched = self.pictures.get_with(key.clone(), async {
            let bytes = self.fetch_picture(&url).await?;
            let shown = intake.smaller(bytes, self.config.picture_edge_pixels).await;
            shown.ok().flatten().map(Arc::new)
        });
        let shown = Box::pin(fetched).await;
        if shown.is_none() {
            // Another time it may be there.
            self.pictures.invalidate(&key).await;
        }
        shown
    }

    async fn fetch_picture(&self, url: &Url) -> Option<Bytes> {
        let want = Want {
            accept: "image/webp,image/png,image/jpeg,image/gif;q=0.9",
            accepts: &|head| is(head, "image/"),
            max_bytes: self.config.max_picture_bytes,
            longer: Longer::Refuse,
        };
        let answer = self.outgoing.get(url, want).await.ok()?;
        answer.status.is_success().then_some(answer.body)
    }

    fn count(&self, source: &'static str) {
        self.counts.get_or_create(&Source { source }).inc();
    }
}

fn picture_key(url: &Url) -> String {
    digest::name_of(&[url.as_str().as_bytes()])
}

fn content_type(head: &HeaderMap) -> &str {
    head.get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn is(head: &HeaderMap, kind: &str) -> bool {
    let begins = content_type(head).trim_start().get(..kind.len());
    begins.is_some_and(|begins| begins.eq_ignore_ascii_case(kind))
}
