//! Listing and removing listeners.

use std::process::ExitCode;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::link::Link;
use crate::cli::online::client::PathBuilder;
use crate::cli::online::failure::Result;
use crate::cli::print;
use becket_develop::listen::text;

/// Prints the listeners of the gateway.
pub(super) async fn list(link: &Link, json: bool) -> Result<ExitCode> {
    let page = link.call(Method::GET, "/api/v1/becket/listener", None).await?;
    let listeners = page["data"].as_array().map_or(&[][..], Vec::as_slice);
    if json {
        for listener in listeners {
            print(&listener.to_string())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if listeners.is_empty() {
        print("no listeners; `becket listen --forward-to URL` makes one")?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!("{:<28}  {:<12}  {:>8}  SOURCES", "NAME", "STATE", "WAITING"))?;
    for listener in listeners {
        let name = text::harmless(listener["name"].as_str().unwrap_or("-"), false);
        let state = if listener["connected"] == true { "connected" } else { "away" };
        let sources: Vec<&str> = listener["endpoints"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|endpoint| endpoint["source"].as_str())
            .collect();
        let waiting = listener["waiting"].as_u64().unwrap_or(0);
        let sources = text::harmless(&sources.join(", "), false);
        let name = text::padded(&name, 28);
        print(&format!("{name}  {state:<12}  {waiting:>8}  {sources}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes a listener and says so.
pub(super) async fn remove(link: &Link, name: &str) -> Result<ExitCode> {
    take_away(link, name).await?;
    eprintln!("The listener `{name}` is removed, with what waited for it.");
    Ok(ExitCode::SUCCESS)
}

/// Removes a listener.
pub(super) async fn take_away(link: &Link, name: &str) -> Result<()> {
    let path = PathBuilder::new("/api/v1/becket/listener").part(name);
    link.bytes(Method::DELETE, path.text(), Bytes::new()).await.map(drop)
}

/// Asks for an event to be sent again to an endpoint; what came of it, for people.
pub(super) async fn replay(link: &Link, event: &str, endpoint: &str) -> String {
    let path = PathBuilder::new("/api/v1/becket/event").part(event).part("replay");
    let body: Value = serde_json::json!({ "endpoint": endpoint });
    match link.call(Method::POST, path.text(), Some(&body)).await {
        Ok(_) => format!("{event} is sent again"),
        Err(failure) => format!("{event} could not be sent again: {}", failure.message()),
    }
}
