//! Endpoints that a node delivers to instead of their shard's node, because only some files declare them.
//!
//! Who may begin something at an endpoint is one row: that of `held`, if its node is there, otherwise that
//! of `shard` ([`crate::lease::may`]). So the two never overlap:
//! - A node puts its row down first, which keeps the shard's node from leasing anything more, and begins
//!   when nobody else has anything of the endpoint under lease.
//! - It gives the endpoint back by making the row not ready, which keeps itself from leasing, and removes
//!   it when nothing is under its own leases any more.
//! - Between the first and the second step lies [`SETTLE`]: a statement that began before the first has
//!   been committed by then.
//!
//! Invariants: nothing here waits for what is under way; it is looked again with the next look at the
//! nodes. The row of a node that is gone counts for nothing, and its leases end with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_model::EndpointKey;
use becket_store::Result;
use becket_store::cluster::NodeNumber;
use parking_lot::Mutex;

use super::Own;
use crate::shared::Shared;

const OPERATION: &str = "hold endpoints";
/// How long a statement that leases may be under way.
const SETTLE: &str = "interval '1 second'";

/// What a node wants with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// To deliver to it; the number under which it may, as far as is known.
    Have(Option<NodeNumber>),
    GiveBack,
}

/// The endpoints that this process delivers to whoever has their shard, or is about to give back.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<BTreeMap<u32, Wish>>);

/// What is still to be done.
#[derive(Debug, Default, PartialEq, Eq)]
struct Open {
    wanted: Vec<i32>,
    returned: Vec<i32>,
}

impl Held {
    /// This process wants to deliver to an endpoint, or no longer.
    pub(super) fn set(&self, endpoint: EndpointKey, held: bool) {
        let mut all = self.0.lock();
        match all.get_mut(&endpoint.0) {
            Some(wish) if held != matches!(wish, Wish::Have(_)) => {
                *wish = if held { Wish::Have(None) } else { Wish::GiveBack };
            }
            None if held => {
                all.insert(endpoint.0, Wish::Have(None));
            }
            _ => {}
        }
    }

    fn open(&self, me: NodeNumber) -> Open {
        let mut open = Open::default();
        for (endpoint, wish) in self.0.lock().iter() {
            match wish {
                Wish::Have(ready) if *ready == Some(me) => {}
                Wish::Have(_) => open.wanted.push(endpoint.cast_signed()),
                Wish::GiveBack => open.returned.push(endpoint.cast_signed()),
            }
        }
        open
    }

    /// Notes what has come of it: the rows of node `me`, with whether they are ready. Answers which this
    /// node may deliver to now, and which it has given back.
    fn note(
        &self,
        me: NodeNumber,
        open: &Open,
        rows: &BTreeMap<i32, bool>,
    ) -> (Vec<EndpointKey>, Vec<EndpointKey>) {
        let mut all = self.0.lock();
        let (mut had, mut given) = (Vec::new(), Vec::new());
        for endpoint in &open.wanted {
            let key = endpoint.cast_unsigned();
            if rows.get(endpoint) == Some(&true)
                && let Some(Wish::Have(ready)) = all.get_mut(&key)
            {
                *ready = Some(me);
                had.push(EndpointKey(key));
            }
        }
        for endpoint in open.returned.iter().filter(|endpoint| !rows.contains_key(endpoint)) {
            let key = endpoint.cast_unsigned();
            given.push(EndpointKey(key));
            if all.get(&key) == Some(&Wish::GiveBack) {
                all.remove(&key);
            }
        }
        (had, given)
    }
}

/// $1 is the node, $2 what it gives back. To itself, as the shard's node, it gives at once.
const STOP: &str = "
    UPDATE held SET ready = false, since = clock_timestamp()
    WHERE node = $1 AND endpoint = ANY($2) AND ready AND NOT EXISTS (
        SELECT FROM shard WHERE number = (held.endpoint & 255)::smallint AND shard.node = $1)";

fn give_back() -> String {
    format!(
        "DELETE FROM held WHERE node = $1 AND endpoint = ANY($2) AND (
            EXISTS (SELECT FROM shard
                WHERE number = (held.endpoint & 255)::smallint AND shard.node = $1)
            OR NOT ready AND since <= clock_timestamp() - {SETTLE} AND NOT EXISTS (
                SELECT FROM delivery WHERE lease <> 0 AND lease >> 40 = $1
                    AND delivery.endpoint = held.endpoint))"
    )
}

/// $1 is the node, $2 what it wants. What another node has is not taken from it while it is there.
const PUT_DOWN: &str = "
    INSERT INTO held (endpoint, node)
    SELECT endpoint, $1 FROM unnest($2::integer[]) wanted (endpoint)
    WHERE EXISTS (SELECT FROM node WHERE number = $1) ORDER BY endpoint
    ON CONFLICT (endpoint) DO UPDATE
        SET node = excluded.node, ready = false, since = clock_timestamp()
        WHERE NOT EXISTS (SELECT FROM node WHERE node.number = held.node)";

fn begin() -> String {
    format!(
        "UPDATE held SET ready = true
         WHERE node = $1 AND endpoint = ANY($2) AND NOT ready
            AND since <= clock_timestamp() - {SETTLE} AND NOT EXISTS (
                SELECT FROM delivery WHERE lease <> 0 AND lease >> 40 <> $1
                    AND delivery.endpoint = held.endpoint)"
    )
}

/// Takes and gives back what is to be, as far as is possible now.
pub(super) async fn settle(shared: &Arc<Shared>) -> Result<()> {
    let Some(me) = shared.cluster.member() else { return Ok(()) };
    let held = &shared.cluster.held;
    let open = held.open(me);
    if open == Open::default() {
        return Ok(());
    }
    let own = Own::of(shared, OPERATION).await?;
    let session = own.session()?;
    let node = me.0.cast_signed();
    if !open.returned.is_empty() {
        session.run(OPERATION, STOP, &[&node, &open.returned]).await?;
        session.run(OPERATION, &give_back(), &[&node, &open.returned]).await?;
    }
    if !open.wanted.is_empty() {
        session.run(OPERATION, PUT_DOWN, &[&node, &open.wanted]).await?;
        session.run(OPERATION, &begin(), &[&node, &open.wanted]).await?;
    }
    let all: Vec<i32> = open.wanted.iter().chain(&open.returned).copied().collect();
    let sql = "SELECT endpoint, ready FROM held WHERE node = $1 AND endpoint = ANY($2)";
    let rows = session.rows(OPERATION, sql, &[&node, &all]).await?;
    drop(own);
    let rows = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let (had, given) = held.note(me, &open, &rows);
    // Their deliveries have waited, here and at whoever has the shard.
    if !had.is_empty() {
        shared.cluster.wake_own(had);
    }
    if !given.is_empty() {
        shared.cluster.voice.say(shared, |said| said.wake(&given));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_told_until_it_is_done() {
        let held = Held::default();
        let (one, two) = (NodeNumber(1), NodeNumber(2));
        let open = |wanted: &[i32], returned: &[i32]| Open {
            wanted: wanted.to_vec(),
            returned: returned.to_vec(),
        };
        held.set(EndpointKey(7), false);
        assert_eq!(held.open(one), Open::default(), "it was never had");
        held.set(EndpointKey(7), true);
        held.note(one, &held.open(one), &BTreeMap::from([(7, false)]));
        assert_eq!(held.open(one), open(&[7], &[]), "somebody is still at it");
        let had = held.note(one, &held.open(one), &BTreeMap::from([(7, true)]));
        assert_eq!(had, (vec![EndpointKey(7)], vec![]));
        held.set(EndpointKey(7), true);
        assert_eq!(held.open(one), Open::default());
        assert_eq!(held.open(two), open(&[7], &[]), "a new membership begins anew");
        held.set(EndpointKey(7), false);
        let returning = held.open(one);
        held.note(one, &returning, &BTreeMap::from([(7, false)]));
        assert_eq!(returning, open(&[], &[7]));
        held.set(EndpointKey(7), true);
        held.note(one, &returning, &BTreeMap::new());
        assert_eq!(held.open(one), open(&[7], &[]), "it is wanted again");
        held.set(EndpointKey(7), false);
        let given = held.note(one, &held.open(one), &BTreeMap::new());
        assert_eq!(given, (vec![], vec![EndpointKey(7)]));
        assert_eq!(held.0.lock().len(), 0);
    }
}
