//! What a side does with refused requests.
//!
//! Those from before the last crash are passed over: a store may have lost them.

use becket_store::{QuarantineFilter, QuarantineRow, QuarantineWrite, Result};

use super::operation::Accept;
use super::side::{Moment, Side};
use super::tell::tell_record;
use crate::fixture;

/// How many refused requests are looked through for one to let out.
const LOOK_THROUGH: usize = 64;

impl Side {
    pub(super) async fn quarantine(&self, scope: u64, status: u16, now_ms: i64) -> Result<String> {
        let refused = QuarantineWrite {
            received_at_ms: now_ms,
            code: format!("code {}", status % 3),
            reason: "it does not fit".to_owned(),
            status,
            record: fixture::record(&[("x-at", &now_ms.to_le_bytes())], b"refused"),
        };
        let kept = self.store.quarantine_put(self.scope(scope), refused).await?;
        Ok(format!("kept: {kept}"))
    }

    pub(super) async fn quarantined(
        &self,
        scope: u64,
        codes: &[u16],
        limit: usize,
        at: Moment,
    ) -> Result<String> {
        let scope = self.scope(scope);
        let filter = QuarantineFilter {
            codes: codes.iter().map(|code| format!("code {code}")).collect(),
            since_ms: Some(at.quarantine_since_ms),
            ..QuarantineFilter::default()
        };
        let mut text = String::new();
        for row in self.store.quarantine_list(scope, filter.clone(), limit).await? {
            text += &self.tell_refused(&row);
            match self.store.quarantine_get(scope, row.number).await? {
                Some(kept) if kept.row == row => {
                    text += &format!(" {}\n", tell_record(&kept.record));
                }
                other => text += &format!(" is found as {other:?}\n"),
            }
        }
        let upwards = QuarantineFilter { after: Some(0), ..filter };
        for row in self.store.quarantine_list(scope, upwards, limit).await? {
            text += &self.tell_refused(&row);
        }
        Ok(text)
    }

    fn tell_refused(&self, row: &QuarantineRow) -> String {
        let source = self.application(row.application);
        let (at_ms, code, reason) = (row.received_at_ms, &row.code, &row.reason);
        format!("{source} {at_ms} {code} {reason} {} {} bytes\n", row.status, row.size_bytes)
    }

    pub(super) async fn let_out(
        &mut self,
        scope: u64,
        refused: usize,
        accept: &Accept,
        at: Moment,
    ) -> Result<String> {
        let scope = self.scope(scope);
        let since_ms = Some(at.quarantine_since_ms);
        let filter = QuarantineFilter { since_ms, ..QuarantineFilter::default() };
        let rows = self.store.quarantine_list(scope, filter, LOOK_THROUGH).await?;
        let Some(row) = rows.get(refused % rows.len().max(1)) else {
            return Ok("none".to_owned());
        };
        let place = self.applications.iter().position(|known| known.key == row.application);
        let Some(place) = place.filter(|place| !self.applications[*place].removed) else {
            return Ok("removed".to_owned());
        };
        let event = self.wanted(accept, place, at.now_ms);
        let planned = event.planned.clone();
        let first = self.store.quarantine_release(scope, row.number, event.clone()).await?;
        let again = self.store.quarantine_release(scope, row.number, event).await?;
        let told = first
            .map_or_else(|| "not there".to_owned(), |accepted| self.accepted(accepted, &planned));
        Ok(format!("{told}, then {again:?}"))
    }
}
