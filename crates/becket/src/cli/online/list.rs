//! Lists: page after page, as a table or as JSON lines.

use serde_json::Value;

use super::Session;
use super::client::PathBuilder;
use super::failure::Result;
use super::show::{self, Table};
use crate::cli::print;

const PAGE: usize = 250;

/// How much of a list is shown.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LimitArgs {
    /// Show at most this many
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20)]
    limit: usize,
    /// Show all
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl LimitArgs {
    /// Everything there is.
    pub const ALL: Self = Self { limit: 0, all: true };

    const fn most(&self) -> usize {
        if self.all { usize::MAX } else { self.limit }
    }
}

/// Walks a list and shows it: `row` makes a table's cells of an item.
pub(super) async fn show_list(
    session: &Session,
    path: &PathBuilder,
    limit: &LimitArgs,
    headings: &[&'static str],
    what: &str,
    row: impl Fn(&Value) -> Vec<String>,
) -> Result<()> {
    let most = limit.most();
    let mut table = Table::new(headings);
    let mut shown = 0;
    let mut iterator: Option<String> = None;
    let more = loop {
        if shown >= most {
            break true;
        }
        let wanted = PAGE.min(most - shown).to_string();
        let page =
            path.clone().query("limit", Some(&wanted)).query("iterator", iterator.as_deref());
        let page = session.client.get(page.text()).await?;
        for item in show::items(&page, "/data") {
            shown += 1;
            if session.json {
                if !show::emit(&item.to_string())? {
                    return Ok(());
                }
            } else {
                table.row(row(item));
            }
        }
        if page["done"] == true {
            break false;
        }
        iterator = show::field(&page, "/iterator").map(str::to_owned);
        if iterator.is_none() {
            break false;
        }
    };
    if session.json {
        return Ok(());
    }
    if shown == 0 {
        eprintln!("there are no {what}");
        return Ok(());
    }
    print(&table.render(session.paint))?;
    if more {
        eprintln!("hint: there are more; --limit NUMBER or --all shows them");
    }
    Ok(())
}
