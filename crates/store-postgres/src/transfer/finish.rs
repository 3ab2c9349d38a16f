//! The end of a move into a schema.

use becket_model::Noise;
use becket_store::Result;
use becket_store::transfer::{MOVING_SETTING, OWN_SETTINGS, Tally};

use crate::session::Session;

const FINISH: &str = "finish a move";

/// Numbers go on above these; what a sequence has given out already stays given out. Those of documents
/// and refused requests are noted as given out, so that they go along with the next move, too.
const NUMBERS: &str = "
SELECT setval(pg_get_serial_sequence('application', 'key'),
              (SELECT coalesce(max(key), 0) + 1 FROM application), false),
       setval(pg_get_serial_sequence('endpoint', 'key'),
              (SELECT coalesce(max(key), 0) + 1 FROM endpoint), false),
       setval(pg_get_serial_sequence('document', 'number'), greatest(documents, 1), documents > 0),
       setval(pg_get_serial_sequence('quarantine', 'number'), greatest(refused, 1), refused > 0)
FROM (SELECT greatest($1::bigint, (SELECT max(number) FROM document), 0) AS documents,
             greatest($2::bigint, (SELECT max(number) FROM quarantine), 0) AS refused) AS highest";

/// The nodes' numbers begin somewhere else than in any schema before, because the tokens of leases
/// begin with them: whoever still holds one of another store's finds that it is none here.
const NODES: &str = "
SELECT setval('node_number', greatest($1::bigint, (SELECT last_value FROM node_number)))";
/// They begin below this, half of what there may be.
const NODES_FROM_MAX: u32 = 1 << 21;

/// The newest event of each key, if repeats of it may still come.
const REPEATS: &str = "
INSERT INTO dedupe (application, key, event_seq, received_at_ms, until_ms)
SELECT application, dedupe, seq, received_at_ms, dedupe_until_ms
FROM (SELECT DISTINCT ON (application, dedupe)
             application, dedupe, seq, received_at_ms, dedupe_until_ms
      FROM event WHERE dedupe IS NOT NULL
      ORDER BY application, dedupe, seq DESC) AS newest
WHERE dedupe_until_ms > $1";

/// How many events each day has.
const DAYS: &str = "
INSERT INTO tally (day, slot, events)
SELECT ((seq >> 20) / 86400000)::integer, 0, count(*) FROM event GROUP BY 1";

/// Makes what follows from the events, sets the numbers, and takes the mark away.
pub(super) async fn finish(
    session: &mut Session,
    source: &Tally,
    now_ms: i64,
    noise: &dyn Noise,
) -> Result<()> {
    let mut random = [0; 4];
    noise.fill(&mut random);
    let nodes_from = i64::from(u32::from_le_bytes(random) % NODES_FROM_MAX) + 1;
    // Without it the first questions would be planned as if there were nothing. What is pending comes
    // and goes, and is left to the database's own upkeep: few rows now say nothing about later. It takes
    // long, and behind the commit that takes the mark away nothing may be left to do.
    session.batch(FINISH, "ANALYZE event, attempt, replay, duplicate, document").await?;
    let tx = session.begin(FINISH).await?;
    tx.batch("SET LOCAL work_mem = '128MB'; DELETE FROM dedupe; DELETE FROM tally").await?;
    tx.rows(NUMBERS, &[&source.document_number, &source.refused_number]).await?;
    tx.rows(NODES, &[&nodes_from]).await?;
    tx.run(REPEATS, &[&now_ms]).await?;
    tx.run(DAYS, &[]).await?;
    tx.batch("UPDATE installation SET revision = revision + 1").await?;
    let owner = OWN_SETTINGS.cast_signed();
    tx.run("DELETE FROM setting WHERE owner = $1 AND name = $2", &[&owner, &MOVING_SETTING])
        .await?;
    tx.commit().await?;
    Ok(())
}
