import { Text } from "@mantine/core";

import { duration } from "../parts/format";
import { Time } from "../parts/Time";
import { Body } from "./Payload";
import type { Attempt } from "./queries";
import { Status } from "./Status";
import { answerWord } from "./words";

export interface AttemptsProps {
  attempts: Attempt[];
  /** What the endpoints are called; without it there is only one. */
  names?: Map<string, string>;
}

/** Every attempt, newest first; what your server answered unfolds. */
export function Attempts({ attempts, names }: AttemptsProps) {
  if (attempts.length === 0) return <Text c="dimmed">No attempt was made yet.</Text>;
  return (
    <ul className="rows" aria-label="Attempts">
      {attempts.map((attempt) => (
        <li key={attempt.id}>
          <details className="attempt">
            <summary>
              <Status status={attempt.statusText} />
              <Text span fw={500} className="numbers">{answerWord(attempt.responseStatusCode)}</Text>
              <Text span c="dimmed" className="numbers">in {duration(attempt.responseDurationMs)}</Text>
              {names && names.size > 1 && <Text span c="dimmed" className="foreign">{names.get(attempt.endpointId) ?? attempt.endpointId}</Text>}
              {attempt.triggerType === 1 && <Text span c="dimmed">sent again by hand</Text>}
              <Text span c="dimmed" className="attempt-when"><Time at={attempt.timestamp} quiet /></Text>
            </summary>
            <dl className="facts">
              <dt>Sent to</dt><dd className="mono foreign">{attempt.url}</dd>
              <dt>Attempt id</dt><dd className="mono foreign">{attempt.id}</dd>
            </dl>
            <Text size="xs" c="dimmed" mt="sm" mb={4}>{attempt.responseStatusCode > 0 ? "What your server answered" : "What happened"}</Text>
            {attempt.response === "" ? <Text c="dimmed">Nothing: the answer had no body.</Text> : <Body text={attempt.response} />}
          </details>
        </li>
      ))}
    </ul>
  );
}
