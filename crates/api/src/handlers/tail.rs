//! Following events as they arrive: Server-Sent Events, or a long poll for clients without them.
//!
//! Invariants: nothing is missed or told twice between one answer and the next that begins after
//! its last event; a stream holds one page at most and ends when the gateway shuts down.
//!
//! Where several nodes share the store, an event may be committed a little after a later one. A stream
//! looks back for such events and tells them late; a long poll, which remembers nothing, tells of what
//! is older than [`SETTLED_MS`] only. What comes later than [`LATE_MS`] is found in lists alone.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use becket_model::EventId;
use becket_store::{EventFilter, EventRow, Page};
use futures_util::stream;
use http::header;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::call::{Answer, Call, Listed};
use crate::handlers::events::{Asked, EventsOut};
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::scan::{self, From};
use crate::wire::becket::EventOut;

/// How many streams and long polls may be open at once.
pub(crate) const STREAMS_MAX: usize = 64;
const POLL_MS: u64 = 200;
const WAIT_DEFAULT_MS: u64 = 20_000;
const WAIT_MAX_MS: u64 = 60_000;
const KEEP_ALIVE_S: u64 = 15;
/// From what age on nothing is expected before an event any more, where several nodes store events.
const SETTLED_MS: i64 = 1_000;
/// How much later than others an event may become visible and still be told on a stream.
const LATE_MS: i64 = 5_000;
/// How often a stream looks back, and at how many events at most.
const LOOK_BACK_EVERY: Duration = Duration::from_secs(1);
const LOOK_BACK_MAX: usize = 1_000;

/// `GET /api/v1/becket/tail`
pub(crate) async fn tail(call: Call) -> Result<Response> {
    let permit = Arc::clone(&call.shared.streams).try_acquire_owned().map_err(|_| {
        ApiError::new("too_many_streams", format!("{STREAMS_MAX} streams are open"))
            .hint("close one, or list events with `after` instead")
            .retry_after_s(5)
    })?;
    let limit = call.limit()?;
    let wait_ms = call.number("wait_ms", 0, WAIT_MAX_MS)?.unwrap_or(WAIT_DEFAULT_MS);
    let after = match last_event_id(&call)? {
        Some(after) => Some(after),
        None => call.parsed("after")?,
    };
    let wants_stream = call
        .headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    let names = Names::load(&call).await?;
    // Read once, so that a mistake is told before anything is sent.
    let asked = Asked::read(&call, &names)?;
    let after = match after {
        Some(after) => after,
        None => newest(&call, &asked).await?,
    };
    let back = call.shared.api.control.node().is_some().then(|| Back::new(after));
    let waiting = VecDeque::new();
    let mut follower = Follower {
        call,
        asked,
        after,
        waiting,
        limit,
        back,
        settled: false,
        resume: String::new(),
        _permit: permit,
    };
    if wants_stream {
        let stream = stream::unfold(Some(follower), |follower| async {
            let mut follower = follower?;
            match follower.next().await {
                Ok(Some(event)) => Some((Ok::<_, Infallible>(event), Some(follower))),
                Ok(None) => None,
                Err(error) => Some((Ok(told(&error)), None)),
            }
        });
        let keep_alive = KeepAlive::new().interval(Duration::from_secs(KEEP_ALIVE_S));
        return Ok(Sse::new(stream).keep_alive(keep_alive).into_response());
    }
    follower.settled = follower.back.take().is_some();
    follower.poll(wait_ms).await?;
    let iterator = Some(follower.after.to_string());
    let data: Vec<EventOut> = follower.waiting.into_iter().collect();
    let listed = Listed::new(data, iterator, false);
    Ok(Answer::ok(EventsOut { listed, searched_to: None }).into_response())
}

fn last_event_id(call: &Call) -> Result<Option<EventId>> {
    let Some(value) = call.headers.get("last-event-id") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    text.parse().map(Some).map_err(|_| {
        ApiError::new("bad_query", format!("header `last-event-id`: `{text}` is not an event id"))
    })
}

/// Where "from now on" begins.
async fn newest(call: &Call, asked: &Asked) -> Result<EventId> {
    let rows =
        call.store().event_list(asked.scope, EventFilter::default(), Page::newest(1)).await?;
    // With nothing there, from the very beginning is from now on.
    Ok(rows.first().map_or_else(|| scan::floor_of(0), |row| row.id))
}

/// The last thing on a stream that had to end.
fn told(error: &ApiError) -> Event {
    Event::default().event("error").data(error.document().to_string())
}

/// Reads on from an event.
struct Follower {
    call: Call,
    asked: Asked,
    after: EventId,
    waiting: VecDeque<EventOut>,
    limit: usize,
    /// What a stream remembers to find what comes late, where several nodes store events.
    back: Option<Back>,
    /// Whether to tell only of what nothing comes before any more.
    settled: bool,
    /// The highest id that was told.
    resume: String,
    /// Held as long as the client listens.
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// The next event for the stream; `None` when the gateway shuts down.
    async fn next(&mut self) -> Result<Option<Event>> {
        while self.waiting.is_empty() {
            if *self.call.shared.api.closing.borrow() {
                return Ok(None);
            }
            self.poll(KEEP_ALIVE_S * 1_000).await?;
        }
        Ok(self.waiting.pop_front().map(|event| {
            // One that came late is no place to resume at.
            self.resume = event.id.clone().max(std::mem::take(&mut self.resume));
            match Event::default().event("event").id(&self.resume).json_data(event) {
                Ok(told) => told,
                Err(error) => Event::default().comment(error.to_string()),
            }
        }))
    }

    /// Waits up to `wait_ms` for events and takes up to `limit` of them.
    async fn poll(&mut self, wait_ms: u64) -> Result<()> {
        let mut closing = self.call.shared.api.closing.clone();
        let mut waited_ms = 0;
        loop {
            let names = Names::load(&self.call).await?;
            let asked = &self.asked;
            let from = From::After(self.after);
            let found = asked.page(&self.call, &names, from, self.limit).await?;
            let mut reached = found.reached.unwrap_or(self.after);
            let mut rows = found.rows;
            if self.settled {
                let now_ms = self.call.shared.api.clock.now_ms();
                let end = scan::floor_of(now_ms - SETTLED_MS).max(self.after);
                rows.retain(|row| row.id < end);
                reached = reached.min(end);
            }
            self.after = reached;
            self.waiting.extend(rows.iter().map(|row| EventOut::new(row, &names)));
            let late = self.look_back(&names, &rows).await?;
            self.waiting.extend(late);
            if !self.waiting.is_empty() || waited_ms >= wait_ms || *closing.borrow() {
                return Ok(());
            }
            let pause = Duration::from_millis(POLL_MS.min(wait_ms - waited_ms));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // A sender that is gone means the same as one that says so.
                _ = closing.wait_for(|closing| *closing) => {}
            }
            waited_ms += POLL_MS;
        }
    }

    /// The events that have become visible behind what was told already.
    async fn look_back(&mut self, names: &Names, told: &[EventRow]) -> Result<Vec<EventOut>> {
        let Some(back) = &mut self.back else { return Ok(Vec::new()) };
        back.told.extend(told.iter().map(|row| row.id));
        if back.looked_at.elapsed() < LOOK_BACK_EVERY {
            return Ok(Vec::new());
        }
        back.looked_at = Instant::now();
        let now_ms = self.call.shared.api.clock.now_ms();
        let from = scan::floor_of(now_ms - LATE_MS).max(back.begin);
        back.told = back.told.split_off(&from);
        if self.after <= from {
            return Ok(Vec::new());
        }
        let asked = &self.asked;
        let found = asked.page(&self.call, names, From::After(from), LOOK_BACK_MAX).await?;
        let late = found.rows.iter().filter(|row| row.id < self.after && back.told.insert(row.id));
        Ok(late.map(|row| EventOut::new(row, names)).collect())
    }
}

/// What a stream remembers of the last seconds.
struct Back {
    /// What was there before is not told.
    begin: EventId,
    told: BTreeSet<EventId>,
    looked_at: Instant,
}

impl Back {
    fn new(begin: EventId) -> Self {
        Self { begin, told: BTreeSet::new(), looked_at: Instant::now() }
    }
}
