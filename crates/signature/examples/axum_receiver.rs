//! Receiving Stripe's webhooks with axum: `cargo run -p becket-signature --features axum --example axum_receiver`.
//!
//! The handler runs for genuine requests only. The secret is read from `STRIPE_WEBHOOK_SECRET`.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use becket_signature::extract::Webhook;
use becket_signature::{Catalogue, Credentials, Verifier, VerifierOptions};

async fn received(webhook: Webhook) -> (StatusCode, String) {
    let kind = webhook.facts.event_type.as_deref().unwrap_or("an event");
    // Put it into a queue here and answer at once; keep `webhook.facts.delivery_id` to notice repeats.
    (StatusCode::ACCEPTED, format!("{kind}, {} bytes\n", webhook.body.len()))
}

/// The service, for any provider of the catalogue.
pub fn app(verifier: Arc<Verifier>) -> Router {
    Router::new().route("/webhooks", post(received).get(received)).with_state(verifier)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = std::env::var("STRIPE_WEBHOOK_SECRET")?;
    let entry = Catalogue::builtin().get("stripe").ok_or("stripe is in the catalogue")?;
    let credentials = Credentials::from_secrets([secret]);
    let verifier = Verifier::new(entry, &credentials, &VerifierOptions::default())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}/webhooks", listener.local_addr()?);
    axum::serve(listener, app(Arc::new(verifier))).await?;
    Ok(())
}
