//! What is read out of descriptions of connections (RFC 8866), and out of parts of them (RFC 8840), beside what `str0m`
//! does: what a stream shows, where a client may be reached, how its connection begins anew.

use super::session::BadOffer;

/// Candidates that are taken out of one part.
const MAX_CANDIDATES: usize = 32;

/// Something that a description offers to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    /// The m-line.
    pub(crate) mid: String,
    pub(crate) is_audio: bool,
    /// How it is coded, as the client would like it best, such as `vp8`.
    pub(crate) codec: String,
    /// Names of its layers, in the order in which they are offered; none when there is only one.
    pub(crate) layers: Vec<String>,
}

/// What a description offers to send.
pub(crate) fn offered(sdp: &str) -> Result<Vec<Offered>, BadOffer> {
    let mut all = Vec::new();
    // What stands before the first m-line is about the session.
    for part in sdp.split("\nm=").skip(1) {
        let mut words = part.lines().next().unwrap_or_default().split_whitespace();
        let (kind, best) = (words.next().unwrap_or_default(), words.nth(2));
        let attributes = || part.lines().filter_map(|line| line.trim().strip_prefix("a="));
        let one = |name: &str| attributes().find_map(|line| line.strip_prefix(name));
        let sends = !attributes().any(|line| matches!(line, "recvonly" | "inactive"));
        if !sends || !matches!(kind, "audio" | "video") {
            continue;
        }
        let lacks = |what: &str| BadOffer::new(&format!("a line that sends {kind} has no {what}"));
        let best = best.ok_or_else(|| lacks("formats"))?;
        let map = one(&format!("rtpmap:{best} ")).or(match best {
            "0" => Some("pcmu"),
            "8" => Some("pcma"),
            "9" => Some("g722"),
            _ => None,
        });
        let codec = map.ok_or_else(|| lacks("a=rtpmap of its first format"))?;
        let layers = one("simulcast:send ").map(|list| list.split_whitespace().next().unwrap_or_default());
        let layers = layers.map(|list| {
            let first = |name: &str| {
                name.split(',')
                    .next()
                    .unwrap_or(name)
                    .trim_start_matches('~')
                    .to_owned()
            };
            list.split(';').map(first).collect()
        });
        all.push(Offered {
            mid: one("mid:").ok_or_else(|| lacks("a=mid"))?.to_owned(),
            is_audio: kind == "audio",
            codec: codec.split('/').next().unwrap_or(codec).to_ascii_lowercase(),
            layers: layers.unwrap_or_default(),
        });
    }
    Ok(all)
}

/// A part of a description: more about the way to a client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// By which name, and with which secret, the connection is to begin anew.
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) candidates: Vec<String>,
}

impl Fragment {
    /// Reads a part; `None` if it says nothing.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let lines = || text.lines().map(str::trim);
        let one = |name: &str| {
            lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::to_owned)
        };
        let candidates: Vec<String> = lines()
            .filter_map(|line| line.strip_prefix("a="))
            .filter(|line| line.starts_with("candidate:"))
            .take(MAX_CANDIDATES)
            .map(str::to_owned)
            .collect();
        let credentials = one("a=ice-ufrag:").zip(one("a=ice-pwd:"));
        let ends = lines().any(|line| line == "a=end-of-candidates");
        let says = credentials.is_some() || !candidates.is_empty() || ends;
        says.then_some(Self {
            credentials,
            candidates,
        })
    }
}

/// The same description, of a connection that begins anew: under another name, from places that are not known yet.
pub(crate) fn renamed(sdp: &str, (ufrag, pwd): &(String, String)) -> String {
    let mut new = String::with_capacity(sdp.len());
    for line in sdp.lines() {
        match line {
            line if line.starts_with("a=candidate:") || line == "a=end-of-candidates" => continue,
            line if line.starts_with("a=ice-ufrag:") => new.extend(["a=ice-ufrag:", ufrag]),
            line if line.starts_with("a=ice-pwd:") => new.extend(["a=ice-pwd:", pwd]),
            line => new.push_str(line),
        }
        new.push_str("\r\n");
    }
    new
}

/// What of an answer tells how the server is reached: its session, and its first m-line, on which all go.
pub(crate) fn way_of(answer: &str) -> String {
    let mut part = String::new();
    let mut lines = 0;
    for line in answer.lines() {
        lines += usize::from(line.starts_with("m="));
        let tells = [
            "a=ice-",
            "a=group:",
            "a=candidate:",
            "a=end-of-candidates",
            "m=",
            "a=mid:",
        ];
        if lines < 2 && tells.iter().any(|start| line.starts_with(start)) {
            part.extend([line, "\r\n"]);
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\na=group:BUNDLE 0 1 2\r\na=ice-ufrag:old\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:0\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\n\
        a=ice-ufrag:old\r\na=ice-pwd:secret\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\na=sendonly\r\na=rtpmap:97 rtx/90000\r\na=rtpmap:96 VP8/90000\r\n\
        a=simulcast:send q;~h,x;f recv a\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\n";

    #[test]
    fn it_is_read_what_a_stream_shows() {
        let offered = offered(SDP).unwrap();
        let line = |mid: &str, is_audio, codec: &str, layers: &[&str]| Offered {
            mid: mid.into(),
            is_audio,
            codec: codec.into(),
            layers: layers.iter().map(|&name| name.to_owned()).collect(),
        };
        assert_eq!(
            offered,
            [
                line("0", true, "opus", &[]),
                line("1", false, "vp8", &["q", "h", "f"])
            ]
        );
        let plain = super::offered("v=0\nm=audio 9 RTP/AVP 0\na=mid:x\n").unwrap();
        assert_eq!(plain, [line("x", true, "pcmu", &[])]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (sdp, what) in [
            ("v=0\nm=audio 9 RTP/AVP\na=mid:x", "formats"),
            ("v=0\nm=video 9 RTP/AVP 96\na=mid:x", "rtpmap"),
            ("v=0\nm=audio 9 RTP/AVP 0", "a=mid"),
        ] {
            let error = offered(sdp).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        assert_eq!(offered("").unwrap(), []);
        assert_eq!(
            offered("m=audio").unwrap(),
            [],
            "nothing comes before the first line"
        );
    }

    #[test]
    fn a_part_tells_where_and_by_which_name() {
        let part = "a=ice-ufrag:new\r\na=ice-pwd:word\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
            a=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\na=end-of-candidates\r\n";
        let read = Fragment::read(part).unwrap();
        assert_eq!(read.credentials, Some(("new".into(), "word".into())));
        assert_eq!(read.candidates, ["candidate:1 1 udp 1 192.0.2.1 5 typ host"]);
        assert_eq!(Fragment::read("a=end-of-candidates"), Some(Fragment::default()));
        assert_eq!(Fragment::read("a=ice-ufrag:new"), None, "half a name");
        assert_eq!(Fragment::read(""), None);
        let flood = "a=candidate:1\n".repeat(10_000);
        assert_eq!(Fragment::read(&flood).unwrap().candidates.len(), MAX_CANDIDATES);
    }

    #[test]
    fn a_description_is_renamed_everywhere() {
        let new = renamed(SDP, &("new".into(), "word".into()));
        assert!(!new.contains("old") && !new.contains("secret") && !new.contains("candidate"));
        assert_eq!(new.matches("a=ice-ufrag:new\r\n").count(), 2);
        assert_eq!(offered(&new).unwrap(), offered(SDP).unwrap());
        let way = way_of(SDP);
        assert!(way.contains("a=ice-pwd:secret") && way.contains("a=mid:0") && !way.contains("a=mid:1"));
        assert!(!way.contains("rtpmap"));
    }
}
