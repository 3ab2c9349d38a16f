//! Planning an event, storing it and handing its deliveries over, as one thing that is finished
//! once begun: the same for what arrives at a receiving URL and for what is posted through the API.
//!
//! Invariants: places in the engine are reserved before the commit, because the commit leases what is
//! reserved; every reservation ends in exactly one hand-over or cancellation. A commit whose sender
//! has gone away, or does not want to wait any longer, is carried on, so that what was leased is
//! delivered now and not when the lease runs out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use becket_model::{DeliveryKey, EndpointKey, EndpointState, EventId, Plan, PlanTarget};

use crate::{Accepted, EventAccept, LeaseToken, LeasedDelivery, Planned, Result, Scope, Store};

/// The engine, as accepting sees it. All calls are quick and never block.
pub trait Handoff: Send + Sync + 'static {
    /// Takes a place in the endpoint's lane; `false` if it is full.
    fn reserve(&self, endpoint: EndpointKey) -> bool;

    /// Gives a reserved place back.
    fn cancel(&self, endpoint: EndpointKey);

    /// Uses a reserved place for a delivery that is stored and leased.
    fn hand_over(&self, delivery: LeasedDelivery);

    /// Says that the store holds deliveries for the endpoint that are due.
    fn wake(&self, endpoint: EndpointKey);
}

/// Reserved places; what is left of them is given back when dropped.
struct Reservations {
    handoff: Arc<dyn Handoff>,
    endpoints: Vec<EndpointKey>,
}

impl Reservations {
    const fn new(handoff: Arc<dyn Handoff>) -> Self {
        Self { handoff, endpoints: Vec::new() }
    }

    /// Tries to take a place.
    fn reserve(&mut self, endpoint: EndpointKey) -> bool {
        let reserved = self.handoff.reserve(endpoint);
        if reserved {
            self.endpoints.push(endpoint);
        }
        reserved
    }
}

impl Drop for Reservations {
    fn drop(&mut self) {
        for endpoint in self.endpoints.drain(..) {
            self.handoff.cancel(endpoint);
        }
    }
}

/// Plans deliveries to those of `targets` that want the event, stores it, then hands over what was
/// reserved and wakes the lanes of the rest. Reserving and planning happen before the answer is
/// first waited for; the future borrows nothing.
pub fn plan_and_accept(
    store: Arc<dyn Store>,
    handoff: Arc<dyn Handoff>,
    scope: Scope,
    accept: EventAccept,
    targets: &[PlanTarget<'_>],
) -> impl Future<Output = Result<Accepted>> + Send + use<> {
    let (accept, reservations, waiting) = plan(handoff, accept, targets);
    async move {
        let later = Later::of(&accept, &reservations);
        let accepted = store.event_accept(scope, accept).await?;
        hand_over(&accepted, reservations, waiting, later);
        Ok(accepted)
    }
}

/// The same for a refused request that becomes an event after all: it leaves quarantine in the same
/// transaction. `None` if it is not there (any longer).
pub fn plan_and_release(
    store: Arc<dyn Store>,
    handoff: Arc<dyn Handoff>,
    scope: Scope,
    number: i64,
    accept: EventAccept,
    targets: &[PlanTarget<'_>],
) -> impl Future<Output = Result<Option<Accepted>>> + Send + use<> {
    let (accept, reservations, waiting) = plan(handoff, accept, targets);
    async move {
        let later = Later::of(&accept, &reservations);
        let accepted = store.quarantine_release(scope, number, accept).await?;
        if let Some(accepted) = &accepted {
            hand_over(accepted, reservations, waiting, later);
        }
        Ok(accepted)
    }
}

/// The event with its plan, what is reserved for it, and the endpoints that wait.
fn plan(
    handoff: Arc<dyn Handoff>,
    mut accept: EventAccept,
    targets: &[PlanTarget<'_>],
) -> (EventAccept, Reservations, Vec<EndpointKey>) {
    let mut reservations = Reservations::new(handoff);
    let mut waiting = Vec::new();
    let event_type = accept.event_type.as_deref();
    let Plan { deliver, filtered } =
        Plan::of(&accept.record, event_type, &accept.labels.channels, targets);
    accept.labels.filtered = filtered;
    // What is to wait for its time waits in the store.
    let at_once = accept.due_ms.is_none();
    for endpoint in deliver {
        let target = targets.iter().find(|target| target.key == endpoint);
        let enabled = target.is_some_and(|target| target.state == EndpointState::Enabled);
        let leased = enabled && at_once && reservations.reserve(endpoint);
        if enabled && !leased {
            waiting.push(endpoint);
        }
        accept.planned.push(Planned { endpoint, leased });
    }
    (accept, reservations, waiting)
}

fn hand_over(
    accepted: &Accepted,
    mut reservations: Reservations,
    waiting: Vec<EndpointKey>,
    later: Option<Later>,
) {
    match accepted {
        Accepted::Stored { event, lease, left } => {
            for endpoint in reservations.endpoints.drain(..) {
                if left.contains(&endpoint) {
                    reservations.handoff.cancel(endpoint);
                    reservations.handoff.wake(endpoint);
                    continue;
                }
                let key = DeliveryKey { event: *event, endpoint, generation: 0 };
                if let Some(later) = &later {
                    let delivery = LeasedDelivery { key, lease: *lease, ..later.0.clone() };
                    reservations.handoff.hand_over(delivery);
                }
            }
            for endpoint in waiting {
                reservations.handoff.wake(endpoint);
            }
        }
        Accepted::Duplicate { replayed, .. } => {
            let handoff = Arc::clone(&reservations.handoff);
            drop(reservations);
            for delivery in replayed {
                handoff.wake(delivery.key.endpoint);
            }
        }
    }
}

/// A delivery as it will be, except for the event's id and the lease, which the store gives.
struct Later(LeasedDelivery);

impl Later {
    /// `None` if nothing is reserved, which saves the copies.
    fn of(accept: &EventAccept, reservations: &Reservations) -> Option<Self> {
        let endpoint = *reservations.endpoints.first()?;
        let event = EventId::from_bytes([0; 20]);
        Some(Self(LeasedDelivery {
            key: DeliveryKey { event, endpoint, generation: 0 },
            lease: LeaseToken(0),
            attempts: 0,
            application: accept.application,
            received_at_ms: accept.received_at_ms,
            event_type: accept.event_type.as_deref().map(Arc::from),
            record: accept.record.clone(),
        }))
    }
}

/// A future that is carried on in the background if it is dropped before its end.
pub struct Finishing<F: Future + Send + 'static> {
    future: Option<Pin<Box<F>>>,
    unfinished: Arc<AtomicUsize>,
}

impl<F: Future + Send + 'static> Finishing<F> {
    /// `unfinished` counts the futures that are being carried on.
    pub fn new(future: F, unfinished: &Arc<AtomicUsize>) -> Self {
        Self { future: Some(Box::pin(future)), unfinished: Arc::clone(unfinished) }
    }
}

impl<F: Future + Send + 'static> Future for Finishing<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(future) = &mut self.future else { return Poll::Pending };
        let output = std::task::ready!(future.as_mut().poll(context));
        self.future = None;
        Poll::Ready(output)
    }
}

impl<F: Future + Send + 'static> Drop for Finishing<F> {
    fn drop(&mut self) {
        let Some(future) = self.future.take() else { return };
        // Without a runtime (it is being shut down) nothing can be carried on: the reservations are
        // given back, and what the store has leased is delivered when the lease runs out.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let counted = Counted::new(&self.unfinished);
        runtime.spawn(async move {
            let _counted = counted;
            let _ = future.await;
        });
    }
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_dropped_is_carried_on() {
        let unfinished = Arc::new(AtomicUsize::new(0));
        let (go, wait) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel::<()>();
        let mut finishing = Finishing::new(
            async move {
                wait.await.unwrap();
                tell.send(()).unwrap();
            },
            &unfinished,
        );
        assert!(futures_poll(&mut finishing).await.is_pending());
        drop(finishing);
        assert_eq!(unfinished.load(Ordering::Acquire), 1);
        go.send(()).unwrap();
        told.await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(unfinished.load(Ordering::Acquire), 0);
    }

    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
    }
}
