//! Accepting one event within a batch: is it a repeat, and if not, writing it.

use becket_model::{ApplicationKey, EventId};
use becket_store::{Accepted, DedupeKey, EventAccept, Result};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Effect, Writer};
use crate::dedupe::Found;
use crate::errors::database;
use crate::keeper::Task;
use crate::release::{self, Refused};
use crate::reply::Promise;
use crate::write;

impl Writer {
    pub(super) fn accept(
        &mut self,
        accept: Box<EventAccept>,
        promise: Promise<Accepted>,
        refused: Option<Refused>,
        effects: &mut Vec<Effect>,
    ) -> Result<()> {
        let now_ms = accept.received_at_ms;
        if let Some(event) = refused.and_then(|refused| self.event_of(refused)) {
            // Let out already, by somebody who gave up waiting; told once the batch is on disk.
            effects.push(Effect::Duplicate { promise, event, replayed: Vec::new(), now_ms });
            return Ok(());
        }
        let first_seq = match self.first_of(&accept) {
            Ok(first_seq) => first_seq,
            Err(error) => {
                self.answers.accepted(promise, Err(error.clone()));
                return Err(error);
            }
        };
        if let Some(seq) = first_seq {
            let replays = accept.dedupe.is_some_and(|(_, kind, _)| kind.replays());
            if seq < self.segment.first {
                self.shared.keeper.push(Task::Duplicate(seq, now_ms, replays, promise));
                return Ok(());
            }
            return match self.repeat(seq, now_ms, replays) {
                Ok((event, replayed)) => {
                    effects.push(Effect::Duplicate { promise, event, replayed, now_ms });
                    Ok(())
                }
                Err(error) => {
                    self.answers.accepted(promise, Err(error.clone()));
                    Err(error)
                }
            };
        }
        let mut noise = [0; 14];
        self.shared.options.noise.fill(&mut noise);
        let [low, high, tail @ ..] = noise;
        let seq = self.seqs.next(now_ms, u16::from_le_bytes([low, high]));
        let event = EventId::new(seq, tail);
        let written = write::insert_event(&self.connection, &event, &accept, &mut self.scratch)
            .and_then(|()| match refused {
                Some(refused) => release::note(&self.connection, refused),
                None => Ok(()),
            })
            .map_err(database("insert event"));
        if let Err(error) = written {
            self.answers.accepted(promise, Err(error.clone()));
            return Err(error);
        }
        if let Some((key, ..)) = accept.dedupe {
            self.fresh.insert((accept.application, key), (seq.0, now_ms));
        }
        self.letting_out.extend(refused.map(|refused| (refused, event)));
        let lease = self.shared.lease_token();
        effects.push(Effect::Stored { promise, event, accept, lease });
        Ok(())
    }

    /// The event that a refused request has become, if it has, and may still be in quarantine.
    fn event_of(&self, refused: Refused) -> Option<EventId> {
        let now = self.letting_out.iter().find(|(known, _)| *known == refused);
        now.map(|(_, event)| *event).or_else(|| self.shared.let_out.lock().get(&refused).copied())
    }

    /// The event that this one repeats, if there is one within the window.
    fn first_of(&mut self, accept: &EventAccept) -> Result<Option<i64>> {
        let Some((key, _, window_ms)) = accept.dedupe else { return Ok(None) };
        let entry = (accept.application, key);
        let now_ms = accept.received_at_ms;
        let counts = |at_ms: i64| at_ms.saturating_add_unsigned(window_ms) > now_ms;
        if let Some((seq, at_ms)) = self.fresh.get(&entry)
            && counts(*at_ms)
        {
            return Ok(Some(*seq));
        }
        for found in self.dedupe.find(&entry, now_ms) {
            let candidate = match found {
                Found::Event(seq) => self.received_at(seq)?.map(|at_ms| (seq, at_ms)),
                Found::PerhapsIn(first) => self.look_up(first, accept.application, &key)?,
            };
            if let Some((seq, at_ms)) = candidate
                && counts(at_ms)
            {
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }

    fn received_at(&self, seq: i64) -> Result<Option<i64>> {
        let read = |connection: &Connection| {
            connection
                .prepare_cached("SELECT received_at_ms FROM event WHERE seq = ?1")
                .and_then(|mut statement| statement.query_row([seq], |row| row.get(0)).optional())
                .map_err(database("look for a repeat"))
        };
        if seq >= self.segment.first {
            return read(&self.connection);
        }
        match self.shared.segments.holding(seq) {
            Some(segment) => self.shared.segments.read(&segment, read),
            None => Ok(None),
        }
    }

    fn look_up(
        &self,
        first: i64,
        application: ApplicationKey,
        key: &DedupeKey,
    ) -> Result<Option<(i64, i64)>> {
        let Some(segment) = self.shared.segments.holding(first) else { return Ok(None) };
        self.shared.segments.read(&segment, |connection| {
            connection
                .prepare_cached(
                    "SELECT seq, received_at_ms FROM event
                     WHERE dedupe = ?1 AND application = ?2 ORDER BY seq DESC LIMIT 1",
                )
                .and_then(|mut statement| {
                    statement
                        .query_row(params![&key.0[..], application.0], |row| {
                            Ok((row.get(0)?, row.get(1)?))
                        })
                        .optional()
                })
                .map_err(database("look for a repeat"))
        })
    }
}
