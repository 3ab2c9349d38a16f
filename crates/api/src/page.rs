//! Lists that are ordered by id: one page of them, with iterators in both directions.
//!
//! Invariants: an iterator is the id of the last item of its page, and with a leading `-` that of
//! the first; it need not exist any more. A page behind an iterator has nothing twice and leaves
//! nothing out.

use std::future::Future;

use becket_store::Slice;

use crate::call::{Call, Listed};
use crate::problem::{ApiError, Result};

/// Which part of a list a call asks for, by `limit`, `iterator` and `order`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked<Id> {
    limit: usize,
    from: Option<Id>,
    backwards: bool,
    descending: bool,
}

impl<Id> Asked<Id> {
    /// Reads the parameters of a list that is in ascending order unless asked otherwise; `parse`
    /// reads an id.
    pub fn read(call: &Call, parse: impl Fn(&str) -> Option<Id>) -> Result<Self> {
        Self::read_with(call, parse, false)
    }

    /// The same for a list that is in descending order unless asked otherwise.
    pub fn read_newest_first(call: &Call, parse: impl Fn(&str) -> Option<Id>) -> Result<Self> {
        Self::read_with(call, parse, true)
    }

    fn read_with(
        call: &Call,
        parse: impl Fn(&str) -> Option<Id>,
        descending: bool,
    ) -> Result<Self> {
        let descending = match call.text("order") {
            None => descending,
            Some("ascending") => false,
            Some("descending") => true,
            Some(other) => {
                let what = format!("`{other}` is not ascending or descending");
                return Err(ApiError::query("order", what));
            }
        };
        let (from, backwards) = match call.text("iterator") {
            None => (None, false),
            Some(text) => {
                let (plain, backwards) = match text.strip_prefix('-') {
                    Some(plain) => (plain, true),
                    None => (text, false),
                };
                let id = parse(plain).ok_or_else(|| {
                    let what = format!("`{text}` is no iterator of this list");
                    ApiError::query("iterator", what)
                })?;
                (Some(id), backwards)
            }
        };
        Ok(Self { limit: call.limit()?, from, backwards, descending })
    }

    /// Gets the page: `fetch` reads a slice of the list, `id` tells an item's id as text.
    pub async fn page<T, F>(
        self,
        fetch: impl FnOnce(Slice<Id>) -> F,
        id: impl Fn(&T) -> String,
    ) -> Result<Listed<T>>
    where
        F: Future<Output = Result<Vec<T>>>,
    {
        let Self { limit, from, backwards, descending } = self;
        let behind_something = from.is_some();
        // One more than is wanted, to know whether there is more.
        let slice = Slice { limit: limit + 1, after: from, descending: descending != backwards };
        let mut data = fetch(slice).await?;
        let more = data.len() > limit;
        data.truncate(limit);
        if backwards {
            data.reverse();
        }
        let iterator = data.last().map(&id);
        let before = if backwards { more } else { behind_something };
        let prev_iterator = data.first().filter(|_| before).map(|item| format!("-{}", id(item)));
        Ok(Listed { data, iterator, prev_iterator, done: !backwards && !more })
    }
}
