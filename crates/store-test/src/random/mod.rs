//! Random operations: the same ones on a store and on [`ModelStore`], and every answer compared.
//!
//! A seed gives the same operations everywhere. When the answers differ, the list is cut down to
//! operations that are needed for it, and the seed, the list and both answers are told.
//!
//! Where next: `operation` and `made` for what can happen, `side` and `side_made` for how it is
//! done, `tell` for how answers become comparable.

mod made;
mod operation;
mod side;
mod side_made;
mod side_quarantine;
mod tell;

use std::sync::Arc;

use becket_model::EventId;
use becket_store::{RetentionPolicy, Scope, Store, StoreError};

use self::operation::{Operation, generate};
use self::side::{Answer, Moment, Side};
use crate::place::{Later, Opened};
use crate::{FixedNoise, Harness, ModelStore, Place, fixture};

/// How many runs are spent on cutting a failing list down.
const CUTTING_RUNS: usize = 400;

/// Does `steps` operations that follow from `seed` to a fresh store and to a [`ModelStore`], with
/// crashes and restarts in between, and compares every answer.
///
/// # Panics
/// If an answer differs: with the seed, a short list of operations that shows it, and the answers.
pub async fn random_operations<H: Harness>(seed: u64, steps: usize) {
    start(Place::of::<H>(), seed, steps).await;
}

/// Not generic, so that all this is compiled here and not in every test that runs it.
fn start(place: Place, seed: u64, steps: usize) -> Later<'static, ()> {
    Box::pin(of_a_seed(place, seed, steps))
}

async fn of_a_seed(place: Place, seed: u64, steps: usize) {
    let operations = generate(seed, steps);
    let announce = Announce(seed);
    let Err(found) = run(place, &operations).await else { return };
    let (operations, found) = cut_down(place, operations, found).await;
    let list: String =
        operations.iter().enumerate().map(|(at, one)| format!("  {at:3} {one:?}\n")).collect();
    std::mem::forget(announce);
    panic!(
        "seed {seed}: the answers differ after operation {} of these (cut down from {steps}):\n\
         {list}{}\n--- the store:\n{}\n--- the model:\n{}\n",
        found.step, found.what, found.store, found.model
    );
}

/// Leaves out operations, first many at once and in the end one by one, as long as the answers
/// still differ.
async fn cut_down(
    place: Place,
    mut operations: Vec<Operation>,
    mut found: Difference,
) -> (Vec<Operation>, Difference) {
    operations.truncate(found.step + 1);
    let (mut size, mut runs) = (operations.len() / 2, 0);
    while size > 0 && runs < CUTTING_RUNS {
        let (mut from, before) = (0, operations.len());
        while from < operations.len() && runs < CUTTING_RUNS {
            let mut shorter = operations.clone();
            shorter.drain(from..(from + size).min(operations.len()));
            runs += 1;
            match run(place, &shorter).await {
                Err(difference) => {
                    shorter.truncate(difference.step + 1);
                    (operations, found) = (shorter, difference);
                }
                Ok(()) => from += size,
            }
        }
        if size > 1 || operations.len() == before {
            size /= 2;
        }
    }
    (operations, found)
}

/// Tells the seed if the store panics.
struct Announce(u64);

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: the store panicked", self.0);
        }
    }
}

/// Where a store and the model told different things.
struct Difference {
    step: usize,
    what: String,
    store: String,
    model: String,
}

/// A store and the model going side by side.
struct Pair {
    place: Place,
    harness: Box<dyn Opened>,
    store: Side,
    model: Side,
    model_store: Arc<ModelStore>,
    at: Moment,
}

async fn run(place: Place, operations: &[Operation]) -> Result<(), Difference> {
    let mut pair = Pair::new(place).await.map_err(|error| at_step(0, error))?;
    for (step, operation) in operations.iter().enumerate() {
        pair.step(step, operation).await?;
    }
    let last = operations.len().saturating_sub(1);
    pair.audit(last).await?;
    if pair.place.capabilities().durable {
        pair.reopen(last, false).await?;
        pair.audit(last).await?;
    }
    let closed = pair.store.store.close().await;
    closed.map_err(|error| at_step(last, error))
}

fn at_step(step: usize, error: StoreError) -> Difference {
    let store = format!("error {}: {error}", error.code());
    Difference { step, what: "A call failed.".to_owned(), store, model: "no error".to_owned() }
}

impl Pair {
    async fn new(place: Place) -> Result<Self, StoreError> {
        let harness = place.fresh().await;
        let model = ModelStore::new(Arc::new(FixedNoise::new(5)));
        let model_store =
            Arc::new(model.with_quarantine_rows(place.capabilities().quarantine_rows));
        Ok(Self {
            store: Side::new(harness.store()).await?,
            model: Side::new(Arc::clone(&model_store) as Arc<dyn Store>).await?,
            place,
            harness,
            model_store,
            at: Moment { now_ms: fixture::T0, quarantine_since_ms: fixture::T0 },
        })
    }

    async fn step(&mut self, step: usize, operation: &Operation) -> Result<(), Difference> {
        match operation {
            Operation::Pass { ms } => self.at.now_ms += ms,
            Operation::Sweep { delivered_ms, failed_ms } => {
                let (delivered_ms, failed_ms) = (*delivered_ms, *failed_ms);
                let policy = RetentionPolicy { delivered_ms, failed_ms, cap_bytes: None };
                self.sweep(step, policy).await?;
            }
            Operation::Crash | Operation::Restart if self.place.capabilities().durable => {
                self.reopen(step, matches!(operation, Operation::Restart)).await?;
                self.audit(step).await?;
            }
            Operation::Crash | Operation::Restart => {}
            ordinary => {
                let told = self.store.apply(ordinary, self.at).await;
                let expected = self.model.apply(ordinary, self.at).await;
                compare(step, &format!("{ordinary:?}"), &told, &expected)?;
            }
        }
        Ok(())
    }

    /// Compares everything that there is.
    async fn audit(&mut self, step: usize) -> Result<(), Difference> {
        let now_ms = self.at.now_ms;
        let told = self.store.audit(now_ms).await.map_err(|error| at_step(step, error))?;
        let expected = self.model.audit(now_ms).await.map_err(|error| at_step(step, error))?;
        compare(step, "Everything, read back.", &Answer::Text(told), &Answer::Text(expected))?;
        let told = self.store.apply(&Operation::Due, self.at).await;
        let expected = self.model.apply(&Operation::Due, self.at).await;
        compare(step, "What is due.", &told, &expected)
    }

    async fn reopen(&mut self, step: usize, close: bool) -> Result<(), Difference> {
        if close {
            self.store.store.close().await.map_err(|error| at_step(step, error))?;
        } else {
            self.at.now_ms += 1;
            self.at.quarantine_since_ms = self.at.now_ms;
        }
        self.model_store = Arc::new(self.model_store.reopened(self.place.capabilities()));
        self.model.store = Arc::clone(&self.model_store) as Arc<dyn Store>;
        // Nobody holds the old store while the new one is opened.
        self.store.store = Arc::clone(&self.model.store);
        self.harness.reopen().await;
        self.store.store = self.harness.store();
        Ok(())
    }

    /// Sweeps the store, checks that it removed what it had to, and lets the model follow it in
    /// what it may decide itself. That nothing else went is seen by all later comparisons.
    async fn sweep(&mut self, step: usize, policy: RetentionPolicy) -> Result<(), Difference> {
        let now_ms = self.at.now_ms;
        let doomed = self.model_store.sweepable(policy, now_ms);
        // Half a minute: what is written in the background shares its disk with everybody.
        for _ in 0..6_000 {
            while self.sweep_step(step, policy).await? {}
            let mut late = 0;
            for event in self.model_store.sweepable(policy, now_ms) {
                if self.is_gone(step, event).await? {
                    self.model_store.forget(event);
                } else {
                    late += 1;
                }
            }
            // A store that only looks so often is held to it by the cases, not here.
            if late == 0 || self.place.capabilities().sweep_lag_ms > 0 {
                return Ok(());
            }
            // Files are sealed in the background.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let left: Vec<String> = doomed.iter().map(ToString::to_string).collect();
        Err(Difference {
            step,
            what: format!("Retention leaves events that are too old, under {policy:?}."),
            store: format!("some of the model's {}", left.join(", ")),
            model: "none of them".to_owned(),
        })
    }

    /// One step of retention; answers whether there is more to do.
    async fn sweep_step(&self, step: usize, policy: RetentionPolicy) -> Result<bool, Difference> {
        let swept = self.store.store.retention_sweep(policy, self.at.now_ms).await;
        Ok(swept.map_err(|error| at_step(step, error))?.more)
    }

    /// Whether the store has no longer what the model calls so.
    async fn is_gone(&self, step: usize, event: EventId) -> Result<bool, Difference> {
        let number = self.model.events.iter().position(|known| *known == event);
        let Some(event) = number.map(|number| self.store.events[number]) else { return Ok(true) };
        for scope in [fixture::MAIN, Scope::all(fixture::OTHER)] {
            let row = self.store.store.event_get(scope, event).await;
            if row.map_err(|error| at_step(step, error))?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether both told the same; a store may tell fewer waiting deliveries than there are, but not
/// none.
fn compare(step: usize, what: &str, told: &Answer, expected: &Answer) -> Result<(), Difference> {
    let same = match (told, expected) {
        (Answer::Due(told), Answer::Due(expected)) => {
            told.len() == expected.len()
                && told.iter().zip(expected).all(|(told, expected)| {
                    let ((slot, (waiting, due_ms)), (wanted, (most, wanted_ms))) = (told, expected);
                    slot == wanted && due_ms == wanted_ms && (1..=*most).contains(waiting)
                })
        }
        _ => told == expected,
    };
    if same {
        return Ok(());
    }
    let (store, model) = tell_difference(told, expected);
    Err(Difference { step, what: what.to_owned(), store, model })
}

/// Both answers, without the lines that they share at their beginning.
fn tell_difference(told: &Answer, expected: &Answer) -> (String, String) {
    let (Answer::Text(told), Answer::Text(expected)) = (told, expected) else {
        return (format!("{told:?}"), format!("{expected:?}"));
    };
    let shared =
        told.lines().zip(expected.lines()).take_while(|(left, right)| left == right).count();
    let rest = |text: &str| {
        text.lines().skip(shared.saturating_sub(1)).take(12).collect::<Vec<_>>().join("\n")
    };
    (rest(told), rest(expected))
}
