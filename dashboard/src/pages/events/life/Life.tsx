// The life of an event, explained: received, verified, repeated, planned, tried.
import { Group, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";

import type { Attempt, Event, Explain } from "../../../api/queries/events";
import type { Explanation } from "../../../api/queries/sources";
import { visible } from "../../../parts/foreign";
import { bytes, counted } from "../../../parts/format";
import { State, toneOf } from "../../../parts/State";
import { Time } from "../../../parts/Time";
import { Moment, More, Timeline } from "../../../parts/Timeline";
import { Steps } from "../../../parts/Verdict";
import { REFUSALS } from "../errors";
import { latest } from "../words";
import { AttemptView, isHidden } from "./Attempts";

export function Life({ life }: { life: Explain }) {
  const { event, request } = life;
  const body = request.body;
  const before = body?.text === undefined ? null : { text: body.text, cut: body.cut };
  return (
    <Timeline label="What happened">
      <Received life={life} />
      <Verified life={life} />
      {life.invalid && <Moment title="Breaks a rule of its source" tone="warn"><Text className="foreign">{visible(life.invalid)}</Text></Moment>}
      <Repeats dedupe={life.dedupe} />
      {event.disposition === "filtered" && <Moment title="Not delivered" aside={<State state="filtered" />}>
        <Text>Its source does not keep events of this type, so it went to no endpoint.</Text>
      </Moment>}
      {endpointsOf(life).map((one) => <Endpoint key={one.id} one={one} before={before} />)}
      {life.endpoints.length === 0 && event.disposition !== "filtered" && <Moment title="No endpoint" tone="warn">
        <Text>{event.source ?? "Its source"} has no endpoints, so there is nowhere to deliver it. <Link className="link" to="/endpoints">Make an endpoint</Link>, then replay this event to it.</Text>
      </Moment>}
    </Timeline>
  );
}

function Received({ life }: { life: Explain }) {
  const { event, request } = life;
  const posted = request.method === null || event.sourceId?.startsWith("app_");
  return (
    <Moment title={posted ? "Posted through the API" : "Received"} at={event.receivedAt} tone="good">
      {request.path && <Text className="mono foreign" size="xs">{request.method} {visible(request.url ?? request.path, true)}</Text>}
      <Text size="sm">
        {request.remoteAddress ? <>from <span className="mono foreign">{visible(request.remoteAddress, true)}</span>, </> : null}
        {isHidden(request) ? "what was sent is hidden from your sign-in" : `${request.body ? `${bytes(request.body.sizeBytes)}, ` : ""}${counted(request.headers.length, "header")}`}
      </Text>
      {event.released && (
        <Text size="sm">Let out of quarantine by <span className="foreign">{visible(event.released.by)}</span>{" "}
          {event.released.reason ? <>without verification: <span className="foreign">{visible(event.released.reason)}</span></> : "after it was verified again"}; first received <Time at={event.released.firstReceivedAt} />, refused as {event.released.refusedAs}.</Text>
      )}
    </Moment>
  );
}

function Verified({ life }: { life: Explain }) {
  const { event, verdict } = life;
  const explanation = verdict.explanation as Explanation | null;
  const refused = event.unverified;
  if (!refused && !explanation && (life.request.method === null || event.sourceId?.startsWith("app_"))) {
    return <Moment title="Nothing to verify" tone="none"><Text size="sm">It was posted with a token, not sent by a provider.</Text></Moment>;
  }
  const title = refused ? "Accepted without a genuine signature" : "Verified";
  return (
    <Moment title={title} aside={<State state={refused ? "unverified" : "genuine"} />} tone={refused ? "warn" : "good"}>
      {refused && <Text size="sm">Verification refused it because {REFUSALS[refused] ?? refused.replaceAll("_", " ")}; the source is set to accept it all the same.</Text>}
      {explanation ? (
        <>
          <Text size="sm" className="foreign">{visible(explanation.sentence)}{explanation.hint ? ` ${visible(explanation.hint)}` : ""}</Text>
          {!isHidden(explanation) && <More summary="What was signed, step by step"><Steps explanation={explanation} /></More>}
        </>
      ) : !isHidden(verdict) && <Text size="sm" c="dimmed">The source is no longer configured, so it cannot be judged again. Recorded on receipt: <span className="mono foreign">{visible(JSON.stringify(verdict.recorded))}</span></Text>}
    </Moment>
  );
}

function Repeats({ dedupe }: { dedupe: Explain["dedupe"] }) {
  const number = dedupe.duplicates.length;
  if (number === 0) return null;
  return (
    <Moment title={`${dedupe.more ? "More than " : ""}${counted(number, "repeat")} answered with this event`} aside={<State state="duplicate" />}>
      <Text size="sm">The sender sent it again{dedupe.deliveryId && <> under the delivery id <span className="mono foreign">{visible(dedupe.deliveryId, true)}</span></>}; nothing was delivered twice.</Text>
      <More summary="When"><ul>{dedupe.duplicates.map((at) => <li key={at}><Time at={at} /></li>)}</ul></More>
    </Moment>
  );
}

interface EndpointLife {
  id: string;
  name: string;
  url: string | null;
  planned: boolean;
  reason: string;
  filtered: Event["filteredBy"][number] | undefined;
  state: string;
  nextAttemptAt: string | null;
  underWay: boolean;
  attempts: Attempt[];
}

// Every endpoint of the source, and those that got it by a replay.
function endpointsOf({ event, endpoints, attempts }: Explain): EndpointLife[] {
  const now = new Map(latest(event).map((delivery) => [delivery.endpointId, delivery]));
  const known = new Map(endpoints.map((one) => [one.endpointId, one]));
  const ids = [...new Set([...known.keys(), ...[...now.keys()].flatMap((id) => id ?? [])])];
  return ids.map((id) => {
    const plan = known.get(id);
    const delivery = now.get(id);
    const filtered = event.filteredBy.find((one) => one.endpointId === id);
    return {
      id, filtered, name: plan?.endpoint ?? delivery?.endpoint ?? id, url: plan?.url ?? null, planned: plan?.planned ?? false,
      reason: plan?.reason ?? "got it by a replay", state: delivery?.state ?? (filtered ? "filtered" : "left out"),
      nextAttemptAt: delivery?.nextAttemptAt ?? null, underWay: delivery?.underWay ?? false,
      attempts: attempts.filter((attempt) => attempt.endpointId === id),
    };
  });
}

const TITLES: Record<string, string> = {
  delivered: "Delivered to", failed: "Failed at", pending: "Being delivered to", cancelled: "Cancelled for", filtered: "Filtered for", "left out": "Not for",
};

function Endpoint({ one, before }: { one: EndpointLife; before: { text: string; cut: boolean } | null }) {
  const last = one.attempts.at(-1);
  return (
    <Moment tone={toneOf(one.state)} aside={<State state={one.state} />}
      title={<>{TITLES[one.state] ?? "At"} <Link className="link foreign" to="/endpoints/$endpointId" params={{ endpointId: one.id }}>{visible(one.name, true)}</Link></>}>
      {one.url && <Text size="xs" className="mono foreign" c="dimmed">{visible(one.url, true)}</Text>}
      {one.filtered ? <Clause filtered={one.filtered} /> : !one.planned && <Text size="sm" className="foreign">{visible(one.reason) || "Why is hidden from your sign-in."}</Text>}
      {one.attempts.map((attempt) => (
        <AttemptView key={attempt.id} attempt={attempt} before={before} open={attempt === last && !attempt.succeeded && one.attempts.length < 20} />
      ))}
      {one.state === "pending" && <Next one={one} />}
    </Moment>
  );
}

function Next({ one }: { one: EndpointLife }) {
  if (one.underWay) return <Text size="sm" role="status">An attempt is under way.</Text>;
  if (!one.nextAttemptAt) return <Text size="sm">It waits for its turn.</Text>;
  const due = Date.parse(one.nextAttemptAt) <= Date.now() - 2_000;
  if (due) return <Text size="sm" component="div">Due since <Time at={one.nextAttemptAt} />. It waits for its turn: the endpoint is paused, busy, or failing so often that it is tried less.</Text>;
  return <Group gap={5} fz="sm">{one.attempts.length > 0 ? "Next attempt" : "First attempt"} <Time at={one.nextAttemptAt} /></Group>;
}

function Clause({ filtered }: { filtered: NonNullable<EndpointLife["filtered"]> }) {
  return (
    <table className="pairs" aria-label="The clause that refused it">
      <tbody>
        <tr><th scope="row">its filter's clause</th><td className="foreign">{visible(filtered.clause, true)}</td></tr>
        <tr><th scope="row">wants</th><td className="foreign">{visible(filtered.expected, true)}</td></tr>
        <tr><th scope="row">found</th><td className="foreign">{filtered.found === null ? "hidden or removed" : visible(filtered.found, true)}</td></tr>
      </tbody>
    </table>
  );
}

