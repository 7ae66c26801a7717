//! Lists in parts.

use poem_openapi::Object;
use poem_openapi::types::{ParseFromJSON, ToJSON, Type};
use veza_readmodel::{List, PageOf};

/// A part of a list.
#[derive(Debug, Object)]
pub(super) struct Items<T: Type + ParseFromJSON + ToJSON + Send + Sync> {
    /// In the order of the list.
    items: Vec<T>,
    /// Pass it as `cursor` for the following part; absent at the end.
    #[oai(skip_serializing_if_is_none)]
    next: Option<String>,
}

impl<T: Type + ParseFromJSON + ToJSON + Send + Sync> Items<T> {
    /// The whole of a short list.
    pub(super) fn all<R>(rows: impl IntoIterator<Item = R>, show: impl Fn(R) -> T) -> Self {
        Self {
            items: rows.into_iter().map(show).collect(),
            next: None,
        }
    }

    /// A part of a long list.
    pub(super) fn part<R>(list: List<R>, show: impl Fn(R) -> T) -> Self {
        Self {
            next: list.next,
            ..Self::all(list.items, show)
        }
    }
}

/// Which part a request asks for.
pub(super) fn part(cursor: Option<String>, limit: Option<u16>) -> PageOf {
    PageOf {
        cursor,
        limit: limit.unwrap_or(DEFAULT_LIMIT),
    }
}

/// Items of a part when the request does not say.
pub(crate) const DEFAULT_LIMIT: u16 = 50;
