//! What doors have looked up elsewhere and may forget: a value by its name, for a while, so many at most. No read
//! model: nothing of it comes from the log.

use std::time::Duration;

use super::reader::CacheReader;
use super::{millis, prefix};

/// Stands where a stream's name stands in other keys.
const SCRAPS: &str = "scraps";

impl CacheReader {
    /// What was kept under `name`; nothing too while Redis is away.
    pub(crate) async fn scrap(&self, name: &str) -> Option<String> {
        let script = "return redis.call('GET', ARGV[1] .. 's:' .. ARGV[2])";
        let arguments = vec![prefix(SCRAPS).into(), name.into()];
        self.eval::<Option<String>>(script, SCRAPS, arguments)
            .await
            .flatten()
    }

    /// Keeps `value` under `name`. Of more than `most`, those that end first are forgotten.
    pub(crate) async fn keep_scrap(&self, name: &str, value: &str, life: Duration, most: usize) {
        let arguments = vec![
            prefix(SCRAPS).into(),
            name.into(),
            value.into(),
            millis(life).max(1).to_string().into(),
            most.to_string().into(),
        ];
        let _: Option<i64> = self.eval(include_str!("keep.lua"), SCRAPS, arguments).await;
    }
}
