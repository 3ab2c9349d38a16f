// One attempt of a delivery: what was sent, what came back, where the time went, and what it means.
import { Alert, Group, Text } from "@mantine/core";

import type { Attempt, AttemptDetail, Headers } from "../../../api/queries/events";
import { CodeBlock } from "../../../parts/CodeBlock";
import { Diff } from "../../../parts/Diff";
import { visible } from "../../../parts/foreign";
import { bytes, duration } from "../../../parts/format";
import { State } from "../../../parts/State";
import { Time } from "../../../parts/Time";
import { More } from "../../../parts/Timeline";
import { meaningOf } from "../errors";

/** Whether the gateway left a part of an answer out, because the reader may not see payloads. */
export const isHidden = (part: unknown): boolean => (part as { hidden?: boolean } | null | undefined)?.hidden === true;
const HIDDEN = "Hidden: your sign-in has not the right to see payloads.";

interface Props {
  attempt: Attempt;
  /** The event's own body, as far as it is known: what a transformation began with. */
  before: { text: string; cut: boolean } | null;
  open: boolean;
}

export function AttemptView({ attempt, before, open }: Props) {
  const { detail } = attempt;
  const meaning = attempt.succeeded ? null : meaningOf(attempt.errorCode, attempt.status);
  const word = attempt.status ?? attempt.errorCode ?? (attempt.succeeded ? "done" : "no answer");
  return (
    <details className="attempt" open={open}>
      <summary>
        <strong>{`Attempt ${attempt.number}`}{attempt.generation > 0 ? `, replay ${attempt.generation}` : ""}</strong>
        <State state={attempt.succeeded ? "succeeded" : "failed"} />
        <span className="mono foreign">{visible(String(word))}</span>
        <span className="numbers">{duration(attempt.durationMs)}</span>
        <span className="end"><Time at={attempt.startedAt} quiet /></span>
      </summary>
      <div className="attempt-body">
        {meaning && (
          <Alert color="red" variant="light" title={meaning.what} py="xs">
            <Text size="sm">{meaning.todo}</Text>
            {detail?.error && detail.error !== attempt.errorCode && <Text size="xs" className="foreign mono" mt={4}>{visible(detail.error)}</Text>}
          </Alert>
        )}
        {detail ? <Detail detail={detail} attempt={attempt} before={before} /> : <Text size="sm" c="dimmed">What was sent and answered is not kept any more.</Text>}
        <NextStep attempt={attempt} />
      </div>
    </details>
  );
}

function Detail({ detail, attempt, before }: { detail: AttemptDetail; attempt: Attempt; before: Props["before"] }) {
  const { response, transformed } = detail;
  return (
    <>
      <Phases timings={detail.timings_us} />
      {detail.note && <Text size="sm" className="foreign">{visible(detail.note)}</Text>}
      {transformed && <Transformed transformed={transformed} before={before} />}
      {response && (
        <section aria-label="Response">
          <div className="part-title">Response {response.status}{detail.remote_address ? ` from ${visible(detail.remote_address)}` : ""}</div>
          <Kept body={isHidden(response) ? null : response.body} cut={response.truncated} />
          {!isHidden(response) && <More summary={`${response.headers.length} response headers`}><Pairs pairs={response.headers as Headers} label="Response headers" /></More>}
        </section>
      )}
      {detail.output && (
        <section aria-label="Output">
          <div className="part-title">Output</div>
          <Kept body={isHidden(detail.output) ? null : detail.output.body} cut={detail.output.truncated} />
        </section>
      )}
      <section aria-label="Request">
        <div className="part-title">Request</div>
        <Text size="xs" className="mono foreign">{detail.method ?? "POST"} {visible(detail.url, true)}</Text>
        <Text size="xs" c="dimmed">{bytes(detail.request_bytes)} sent{transformed?.body ? ", made by the transformation" : ": the event's own bytes"}</Text>
        {!isHidden(detail) && <More summary={`${detail.request_headers.length} request headers`}><Pairs pairs={detail.request_headers as Headers} label="Request headers" /></More>}
        {attempt.curl && <More summary="As curl"><CodeBlock text={attempt.curl} language="Shell" copyLabel="Copy the curl line of this attempt" wrap /></More>}
      </section>
    </>
  );
}

type Shown = { text?: string; base64?: string } | null | undefined;

function Kept({ body, cut }: { body: Shown; cut: boolean }) {
  if (!body) return <Text size="sm" c="dimmed">{HIDDEN}</Text>;
  if (body.text === undefined) return body.base64 ? <CodeBlock text={body.base64} language="Base64" copyLabel="Copy the bytes in base64" wrap /> : <Text size="sm" c="dimmed">Empty</Text>;
  if (body.text === "") return <Text size="sm" c="dimmed">Empty</Text>;
  return (
    <>
      <CodeBlock text={visible(body.text)} language="Body" copyLabel="Copy the answer" wrap />
      {cut && <Text size="xs" c="dimmed">Cut: the first 16 KiB are kept.</Text>}
    </>
  );
}

function Transformed({ transformed, before }: { transformed: NonNullable<AttemptDetail["transformed"]>; before: Props["before"] }) {
  const made = transformed.body?.text;
  if (isHidden(transformed)) return <section aria-label="Transformation"><div className="part-title">Transformation</div><Text size="sm" c="dimmed">{HIDDEN}</Text></section>;
  return (
    <section aria-label="Transformation">
      <div className="part-title">Transformation</div>
      {transformed.cancelled && <Text size="sm">It said that nothing is to be sent, so the delivery ended here.</Text>}
      {!transformed.cancelled && !transformed.body && <Text size="sm">It left the body as it was.</Text>}
      {made !== undefined && before && !before.cut && !transformed.truncated && <Diff before={before.text} after={made} label="What the transformation changed" />}
      {made !== undefined && (!before || before.cut || transformed.truncated) && (
        <>
          <Text size="sm" c="dimmed">Too long to be compared: the beginning of what it made.</Text>
          <CodeBlock text={visible(made)} copyLabel="Copy the new body" wrap />
        </>
      )}
      {transformed.log && <More summary="What its code wrote"><CodeBlock text={visible(transformed.log)} copyLabel="Copy the messages" wrap /></More>}
    </section>
  );
}

const PHASES = [["dns", "DNS"], ["connect", "connect"], ["tls", "TLS"], ["wait", "waiting"], ["rest", "reading"]] as const;

function Phases({ timings }: { timings: AttemptDetail["timings_us"] }) {
  const { dns, connect, tls, first_byte, total, reused } = timings;
  const known = dns + connect + tls + first_byte;
  const parts: Record<string, number> = { dns, connect, tls, wait: first_byte, rest: Math.max(0, total - known) };
  const there = PHASES.filter(([phase]) => (parts[phase] ?? 0) > 0);
  const micro = (us: number) => (us < 1_000 ? `${us} µs` : duration(us / 1_000));
  if (total === 0) return null;
  return (
    <div>
      <div className="phases" aria-hidden>
        {there.map(([phase]) => <span key={phase} data-phase={phase} style={{ flexGrow: (parts[phase] ?? 0) / total }} />)}
      </div>
      <ul className="phase-list" aria-label="Where the time went">
        {there.map(([phase, word]) => <li key={phase}><i data-phase={phase} aria-hidden />{word} {micro(parts[phase] ?? 0)}</li>)}
        <li>in all {micro(total)}</li>
        {reused && <li>over a connection of before</li>}
      </ul>
    </div>
  );
}

export function Pairs({ pairs, label }: { pairs: Headers; label: string }) {
  return (
    <table className="pairs" aria-label={label}>
      <tbody>
        {pairs.map(([name, value], index) => (
          <tr key={index}><th scope="row" className="foreign">{visible(name, true)}</th><td className="foreign">{visible(value, true)}</td></tr>
        ))}
      </tbody>
    </table>
  );
}

const REASONS: Record<string, string> = {
  exhausted: "That was the last attempt of its schedule.", gone: "The receiver does not want it any more.", expunged: "Its payload was removed.",
};

function NextStep({ attempt }: { attempt: Attempt }) {
  const { next } = attempt;
  if (next.step === "delivered") return null;
  if (next.step === "failed") return <Text size="sm" c="dimmed">Given up. {REASONS[next.reason ?? ""] ?? ""}</Text>;
  return <Group gap={4} fz="sm" c="dimmed">Next attempt planned for {next.at ? <Time at={next.at} quiet /> : "later"}</Group>;
}
