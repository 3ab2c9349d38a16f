//! Sources: the specification's list and look-up, and ours.

use crate::call::{Answer, Call, Listed};
use crate::names::{Names, public_id};
use crate::problem::{ApiError, Result};
use crate::wire::{becket, specification};

/// Cuts a page out of a list that is ordered by age; the iterator is the last item's id.
pub(crate) fn page_of<'i, T>(
    call: &Call,
    mut items: Vec<&'i T>,
    id: impl Fn(&T) -> String,
) -> Result<Listed<&'i T>> {
    match call.text("order") {
        None | Some("ascending") => {}
        Some("descending") => items.reverse(),
        Some(other) => {
            let what = format!("`{other}` is not ascending or descending");
            return Err(ApiError::query("order", what));
        }
    }
    let start = match call.text("iterator") {
        None => 0,
        Some(iterator) => {
            let at = items.iter().position(|item| id(item) == iterator);
            1 + at.ok_or_else(|| {
                ApiError::query("iterator", format!("`{iterator}` is not in this list"))
            })?
        }
    };
    let limit = call.limit()?;
    let done = items.len() <= start + limit;
    let data: Vec<&T> = items.into_iter().skip(start).take(limit).collect();
    let iterator = data.last().map(|item| id(item));
    Ok(Listed::new(data, iterator, done))
}

/// `GET /ingest/api/v1/source`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<specification::SourceOut>>> {
    let names = Names::load(&call).await?;
    let sources = names.sources().filter(|source| !source.removed).collect();
    let page = page_of(&call, sources, |source| public_id(source))?;
    let directory = &call.shared.api.directory;
    let data = page
        .data
        .into_iter()
        .map(|source| specification::SourceOut::new(source, directory.receiving_url(source)));
    Ok(Answer::ok(Listed::new(data.collect(), page.iterator, page.done)))
}

/// `GET /ingest/api/v1/source/{source_id}`
pub(crate) async fn get(call: Call) -> Result<Answer<specification::SourceOut>> {
    let names = Names::load(&call).await?;
    let source = present(&names, call.path("source_id"))?;
    let url = call.shared.api.directory.receiving_url(source);
    Ok(Answer::ok(specification::SourceOut::new(source, url)))
}

/// A source that is still declared, or 404.
pub(crate) fn present<'n>(names: &'n Names, name: &str) -> Result<&'n becket_store::Application> {
    let source = names.source(name)?;
    if source.removed {
        return Err(ApiError::not_found("source", name)
            .hint("it was removed from the configuration; its events can still be listed"));
    }
    Ok(source)
}

/// `GET /api/v1/becket/source`
pub(crate) async fn list_ours(call: Call) -> Result<Answer<Listed<becket::SourceOut>>> {
    let names = Names::load(&call).await?;
    let page = page_of(&call, names.sources().collect(), |source| public_id(source))?;
    let data = page.data.into_iter().map(|source| ours(&call, &names, source)).collect();
    Ok(Answer::ok(Listed::new(data, page.iterator, page.done)))
}

/// `GET /api/v1/becket/source/{source_id}`
pub(crate) async fn get_ours(call: Call) -> Result<Answer<becket::SourceOut>> {
    let names = Names::load(&call).await?;
    let source = names.source(call.path("source_id"))?;
    Ok(Answer::ok(ours(&call, &names, source)))
}

fn ours(call: &Call, names: &Names, source: &becket_store::Application) -> becket::SourceOut {
    let directory = &call.shared.api.directory;
    becket::SourceOut::new(
        source,
        names,
        directory.receiving_url(source),
        directory.source_details(source.key),
    )
}
