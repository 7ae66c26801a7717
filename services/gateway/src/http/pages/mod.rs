//! Pages for people: the API document, what error codes mean, the page behind a one-time link. Each is one
//! file without anything from elsewhere, and its policy lets run exactly the scripts that stand in it.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header;
use poem::endpoint::make_sync;
use poem::{Body, Endpoint, Response};

/// What error codes mean, as it stands in the repository.
pub(super) const ERRORS: &str = include_str!("../../../../../docs/errors.md");
/// What the pages behind links share; each has its own words and what its link does.
const LINK_STYLE: &str = include_str!("links/style.css");
const LINK_SCRIPT: &str = include_str!("links/script.js");

/// A page behind a link. Its token stands behind `#`, so it never reaches a log, or in a query that is not logged.
#[derive(Clone, Copy, Debug)]
pub(super) enum LinkPage {
    /// Signs in once.
    SignIn,
    /// Confirms an address.
    ConfirmEmail,
    /// Where somebody who cannot sign in sets another password.
    SetPassword,
    /// Ends mails about messages.
    Unsubscribe,
}

impl LinkPage {
    fn html(self) -> String {
        let html = match self {
            Self::SignIn => include_str!("links/sign_in.html"),
            Self::ConfirmEmail => include_str!("links/confirm_email.html"),
            Self::SetPassword => include_str!("links/set_password.html"),
            Self::Unsubscribe => include_str!("links/unsubscribe.html"),
        };
        html.replace("{style}", LINK_STYLE)
            .replace("{script}", LINK_SCRIPT)
    }

    /// The page as it is answered.
    pub(super) fn endpoint(self) -> impl Endpoint<Output = Response> + 'static {
        let html = self.html();
        let styles = hashes(&html, "style");
        page(&html, &styles)
    }
}

/// The page of the API document.
pub(super) fn docs(html: &str) -> impl Endpoint<Output = Response> + 'static {
    // The page writes its own styles as it runs.
    page(html, "'unsafe-inline'")
}

/// The page that `type` of a problem leads to.
pub(super) fn errors() -> impl Endpoint<Output = Response> + 'static {
    let html = errors_html(ERRORS);
    let styles = hashes(&html, "style");
    page(&html, &styles)
}

fn page(html: &str, styles: &str) -> impl Endpoint<Output = Response> + 'static + use<> {
    let scripts = hashes(html, "script");
    let policy: Arc<str> = format!(
        "default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    .into();
    document("text/html; charset=utf-8", html, Some(policy))
}

/// A document that does not change while the process runs.
pub(super) fn document(
    kind: &'static str,
    text: &str,
    policy: Option<Arc<str>>,
) -> impl Endpoint<Output = Response> + 'static + use<> {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    make_sync(move |_| {
        let response = Response::builder()
            .content_type(kind)
            .header(header::CACHE_CONTROL, "no-cache");
        let response = match &policy {
            Some(policy) => response.header(header::CONTENT_SECURITY_POLICY, &**policy),
            None => response,
        };
        response.body(Body::from_bytes(bytes.clone()))
    })
}

/// Sources for a policy: the hash of each inline `tag` of the page, or `'none'`.
fn hashes(html: &str, tag: &str) -> String {
    let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
    let mut sources = Vec::new();
    let mut rest = html;
    while let Some((_, behind)) = rest.split_once(&open) {
        let Some((_, behind)) = behind.split_once('>') else {
            break;
        };
        let Some((inline, behind)) = behind.split_once(&close) else {
            break;
        };
        let hash = digest::digest(&digest::SHA256, inline.as_bytes());
        sources.push(format!("'sha256-{}'", STANDARD.encode(hash)));
        rest = behind;
    }
    if sources.is_empty() {
        "'none'".into()
    } else {
        sources.join(" ")
    }
}

/// The codes of `docs/errors.md`: code, status and meaning of each row of its tables.
pub(super) fn codes(markdown: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    markdown.lines().filter_map(|line| {
        let cells: Vec<&str> = line
            .strip_prefix('|')?
            .strip_suffix('|')?
            .split('|')
            .map(str::trim)
            .collect();
        let [code, status, meaning] = cells[..] else {
            return None;
        };
        Some((code.strip_prefix('`')?.strip_suffix('`')?, status, meaning))
    })
}

fn errors_html(markdown: &str) -> String {
    let rows = codes(markdown).map(|(code, status, meaning)| {
        let meaning = meaning
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('`', "");
        format!("<dt id=\"{code}\"><code>{code}</code> · {status}</dt><dd>{meaning}</dd>\n")
    });
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n<title>Errors of Veza</title>\n<style>\n\
         :root {{ color-scheme: light dark; }}\nbody {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; \
         margin: 3rem auto; padding: 0 1rem; }}\ndt {{ margin-top: 1rem; }}\ndt:target {{ outline: 2px solid; }}\n\
         </style>\n<h1>Errors of Veza</h1>\n<dl>\n{}</dl>\n</html>\n",
        rows.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_inline_script_is_allowed_by_its_hash() {
        let html = "<script charset=\"x\">alert(1)</script><p><script>b</script>";
        // printf 'alert(1)' | openssl dgst -sha256 -binary | base64
        let first = "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='";
        let hashes = hashes(html, "script");
        assert!(hashes.starts_with(first), "{hashes}");
        assert_eq!(hashes.matches("sha256").count(), 2);
        assert_eq!(super::hashes(html, "style"), "'none'");
    }

    #[test]
    fn the_pages_behind_links_need_nothing_from_elsewhere() {
        for page in [
            LinkPage::SignIn,
            LinkPage::ConfirmEmail,
            LinkPage::SetPassword,
            LinkPage::Unsubscribe,
        ] {
            let html = page.html();
            for foreign in [
                "http://", "https://", "src=", "@import", "url(", "{style}", "{script}",
            ] {
                assert!(!html.contains(foreign), "{foreign}");
            }
            assert!(
                html.contains("replaceState") && html.contains("color-scheme"),
                "{page:?}"
            );
        }
    }

    #[test]
    fn every_documented_code_has_its_place_on_the_page() {
        let html = errors_html(ERRORS);
        assert!(codes(ERRORS).count() > 40);
        for (code, ..) in codes(ERRORS) {
            assert!(html.contains(&format!("id=\"{code}\"")), "{code}");
        }
    }
}
