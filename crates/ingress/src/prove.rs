//! Proving a request genuine: handshakes, and keys from outside where the entry needs them.
//!
//! Invariants: a source whose entry fetches nothing waits for nothing and asks nobody; keys that did not fit are exchanged once per request and never
//! held against the sender before that; a request that cannot be judged now is neither refused nor
//! accepted.

use std::sync::Arc;

use becket_signature::{FetchedKeys, HandshakeAnswer, KeyRequest, Refusal, Verdict};

use crate::answer::{self, Reply};
use crate::denial::{self, Denial};
use crate::outside::OutsideTrouble;
use crate::receive::{Ingress, Received};
use crate::report::{Outcome, Telling};

/// How far a request has come.
pub(crate) enum Proven {
    /// It was a handshake.
    Answered(Reply),
    /// It is to be an event, if it is genuine.
    Judged(Verdict),
}

/// The keys of one request.
enum Keys {
    /// Its verification needs none from outside.
    NotNeeded,
    /// These.
    Fetched(Box<KeyRequest>, Arc<FetchedKeys>),
    /// It names keys that there are not, or that are not the provider's.
    Refused(Refusal),
}

impl Ingress {
    /// Answers a handshake, or judges an event.
    pub(crate) async fn prove(
        &self,
        telling: &mut Telling<'_>,
        received: &Received<'_>,
        now_s: i64,
    ) -> Result<Proven, Box<Denial>> {
        let verifier = &received.source.verifier;
        if let Some(reply) = self.handshake(telling, received, None, now_s).await? {
            return Ok(Proven::Answered(reply));
        }
        let keys = self.keys_for(received).await?;
        if let Keys::Fetched(_, keys) = &keys
            && let Some(reply) = self.handshake(telling, received, Some(keys), now_s).await?
        {
            return Ok(Proven::Answered(reply));
        }
        if !received.source.rules.methods.contains(&received.head.method) {
            return Err(Box::new(denial::method()));
        }
        let verdict = match keys {
            Keys::NotNeeded => verifier.verify(&received.view(), now_s),
            Keys::Refused(refusal) => Verdict::Refused(refusal),
            Keys::Fetched(request, keys) => {
                let verdict = verifier.verify_with(&received.view(), now_s, Some(&keys));
                match self.newer_keys(received, &request, &keys, &verdict).await? {
                    None => verdict,
                    Some(newer) => {
                        let shaken = self.handshake(telling, received, Some(&newer), now_s).await?;
                        if let Some(reply) = shaken {
                            return Ok(Proven::Answered(reply));
                        }
                        verifier.verify_with(&received.view(), now_s, Some(&newer))
                    }
                }
            }
        };
        match verdict {
            // Nobody's fault, and no proof against the sender.
            Verdict::Refused(refusal @ Refusal::KeyUnavailable) => {
                let trouble = OutsideTrouble::NotNow { code: refusal.code(), retry_after_s: 5 };
                Err(self.not_now(received, Outcome::KeyUnavailable, trouble))
            }
            verdict => Ok(Proven::Judged(verdict)),
        }
    }

    /// Judges a kept request again; no handshake is answered.
    pub(crate) async fn judge_again(
        &self,
        received: &Received<'_>,
        now_s: i64,
    ) -> Result<Verdict, Box<Denial>> {
        let verifier = &received.source.verifier;
        let view = received.view();
        Ok(match self.keys_for(received).await? {
            Keys::NotNeeded => verifier.verify(&view, now_s),
            Keys::Refused(refusal) => Verdict::Refused(refusal),
            Keys::Fetched(request, keys) => {
                let verdict = verifier.verify_with(&view, now_s, Some(&keys));
                match self.newer_keys(received, &request, &keys, &verdict).await? {
                    None => verdict,
                    Some(newer) => verifier.verify_with(&view, now_s, Some(&newer)),
                }
            }
        })
    }

    /// The keys that a request names. Waits for them, if they have to be fetched.
    async fn keys_for(&self, received: &Received<'_>) -> Result<Keys, Box<Denial>> {
        let source = received.source;
        let request = match source.verifier.key_request(&received.view()) {
            Ok(None) => return Ok(Keys::NotNeeded),
            Ok(Some(request)) => request,
            Err(refusal) => return Ok(Keys::Refused(refusal)),
        };
        match self.outside.keys(source.key, &request).await {
            Ok(keys) => Ok(Keys::Fetched(Box::new(request), keys)),
            Err(OutsideTrouble::UnknownKey) => Ok(Keys::Refused(Refusal::UnknownKey)),
            Err(trouble) => Err(self.not_now(received, Outcome::KeyUnavailable, trouble)),
        }
    }

    /// Newer keys than those that did not fit, if the provider has exchanged them.
    async fn newer_keys(
        &self,
        received: &Received<'_>,
        request: &KeyRequest,
        known: &Arc<FetchedKeys>,
        verdict: &Verdict,
    ) -> Result<Option<Arc<FetchedKeys>>, Box<Denial>> {
        let Verdict::Refused(refusal @ (Refusal::UnknownKey | Refusal::SignatureMismatch)) =
            verdict
        else {
            return Ok(None);
        };
        match self.outside.other_keys(received.source.key, request, known).await {
            Ok(newer) => Ok(Some(newer)),
            Err(OutsideTrouble::UnknownKey) => Ok(None),
            // Whoever names a key that is not there may be right, for the provider could not be
            // asked. A signature that does not fit its key is no signature.
            Err(trouble) if *refusal == Refusal::UnknownKey => {
                Err(self.not_now(received, Outcome::KeyUnavailable, trouble))
            }
            Err(OutsideTrouble::NotNow { .. }) => Ok(None),
        }
    }

    /// The answer to a handshake; `None` if the request is an ordinary one.
    async fn handshake(
        &self,
        telling: &mut Telling<'_>,
        received: &Received<'_>,
        keys: Option<&FetchedKeys>,
        now_s: i64,
    ) -> Result<Option<Reply>, Box<Denial>> {
        let verifier = &received.source.verifier;
        let Some(mut answer) = verifier.handshake_with(&received.view(), now_s, keys) else {
            return Ok(None);
        };
        self.follow(received, &mut answer)
            .await
            .map_err(|trouble| self.not_now(received, Outcome::HandshakeFailed, trouble))?;
        telling.outcome = Outcome::Handshake;
        Ok(Some(answer::handshake(answer)))
    }

    /// Does what a handshake asks for before it is answered.
    async fn follow(
        &self,
        received: &Received<'_>,
        answer: &mut HandshakeAnswer,
    ) -> Result<(), OutsideTrouble> {
        let source = received.source;
        if let Some(captured) = answer.captured.take() {
            self.outside.capture(source, captured).await?;
        }
        if let Some(url) = &answer.visit {
            self.outside.visit(source.key, url).await?;
        }
        Ok(())
    }

    fn not_now(
        &self,
        received: &Received<'_>,
        outcome: Outcome,
        trouble: OutsideTrouble,
    ) -> Box<Denial> {
        let (code, retry_after_s) = match trouble {
            OutsideTrouble::UnknownKey => (Refusal::UnknownKey.code(), 60),
            OutsideTrouble::NotNow { code, retry_after_s } => (code, retry_after_s),
        };
        let (source, what) = (&received.source.uid, outcome.as_str());
        tracing::debug!(source = %source, what, reason = code, "the sender is asked to come again");
        Box::new(denial::not_now(outcome, code, retry_after_s))
    }
}
