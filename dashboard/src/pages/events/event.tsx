import "./event.css";

import { Button, Card, Title, Tooltip } from "@mantine/core";
import { IconRepeat } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";

import { endpointsQuery, useSelf } from "../../api/queries/common";
import { type Event, type Explain, eventQuery, lifeQuery } from "../../api/queries/events";
import { CopyButton } from "../../parts/CopyButton";
import { visible } from "../../parts/foreign";
import { Page, PageSkeleton } from "../../parts/Page";
import { ReplayDialog } from "../../parts/ReplayDialog";
import { replayChosen } from "../../parts/replaying";
import { State } from "../../parts/State";
import { Trouble } from "../../parts/Trouble";
import { CopyAs } from "./CopyAs";
import { Life } from "./life/Life";
import { Payload } from "./Payload";
import { latest, stateOf } from "./words";

const CRUMBS = [{ label: "Events", to: "/events" }];
const SOON_MS = 1_500;
const LATER_MS = 10_000;

/** The life of one event, from its receipt to its last attempt, and what is in it. */
export function EventPage() {
  const { eventId } = useParams({ from: "/events/$eventId" });
  const life = useQuery(lifeQuery(eventId));
  useMoving(eventId, life.data);
  if (life.error && !life.data) {
    return <Page title="Event" crumbs={CRUMBS}><Trouble error={life.error} retry={() => void life.refetch()} /></Page>;
  }
  if (!life.data) return <PageSkeleton />;
  return <Found key={eventId} life={life.data} />;
}

function Found({ life }: { life: Explain }) {
  const self = useSelf();
  const { event } = life;
  return (
    <Page wide title={visible(event.eventType ?? "Event without a type", true)} crumbs={CRUMBS} aside={<State state={stateOf(event)} />}
      actions={<><CopyAs life={life} payloads={self.payloads} /><ReplayButton life={life} changes={self.changes} /></>}
      lead={<span className="event-lead">
        <span className="mono foreign">{event.id}</span><CopyButton value={event.id} label="Copy the event's id" />
        {event.source && <span>of <Origin event={event} /></span>}
      </span>}>
      <div className="event-columns">
        <Card component="section" aria-labelledby="life-title">
          <Title order={2} size="h3" id="life-title" mb="sm">What happened</Title>
          <Life life={life} />
        </Card>
        <Card component="section" aria-labelledby="payload-title" className="event-payload">
          <Title order={2} size="h3" id="payload-title" mb="sm">Payload</Title>
          <Payload life={life} allowed={self.payloads} />
        </Card>
      </div>
    </Page>
  );
}

function Origin({ event }: { event: Event }) {
  const name = visible(event.source ?? "", true);
  const id = event.sourceId;
  if (!id) return <span className="foreign">{name}</span>;
  return id.startsWith("app_")
    ? <Link className="link foreign" to="/applications/$applicationId" params={{ applicationId: id }}>{name}</Link>
    : <Link className="link foreign" to="/sources/$sourceId" params={{ sourceId: id }}>{name}</Link>;
}

function ReplayButton({ life, changes }: { life: Explain; changes: boolean }) {
  const [asking, setAsking] = useState(false);
  const queries = useQueryClient();
  const endpoints = useQuery({ ...endpointsQuery, refetchInterval: false, enabled: asking });
  const { id, sourceId } = life.event;
  // Its own endpoints first: those of others can take it too.
  const own = life.endpoints.map((one) => one.endpoint);
  const others = endpoints.data?.data.filter((one) => one.sourceId === sourceId).map((one) => `${one.source}/${one.uid}`) ?? [];
  return (
    <>
      <Tooltip label={changes ? "Deliver it again" : "Your sign-in may look and not change anything."}>
        <Button leftSection={<IconRepeat size={15} />} {...(!changes && { "data-disabled": true })} aria-disabled={!changes} onClick={() => changes && setAsking(true)}>Replay</Button>
      </Tooltip>
      {asking && (
        <ReplayDialog title="Replay this event" what="It is delivered again." endpoints={[...new Set([...own, ...others])]} mayOnlyFailed
          run={(to, tell, signal) => replayChosen([id], to, tell, signal)}
          onDone={() => void queries.invalidateQueries({ queryKey: ["explain", id] })} onClose={() => setAsking(false)} />
      )}
    </>
  );
}

// How deliveries stand, in one text: while it is the same, nothing has to be explained again.
const standing = (event: Event) => JSON.stringify([event.state, latest(event).map((one) => [one.endpointId, one.generation, one.state, one.attempts, one.underWay, one.nextAttemptAt])]);

/** Looks after an event while something is pending; the explanation, which costs more, only when that changed. */
function useMoving(eventId: string, life: Explain | undefined) {
  const queries = useQueryClient();
  const pending = life?.event.state === "pending";
  const next = life ? Math.min(...latest(life.event).filter((one) => one.state === "pending").map((one) => (one.nextAttemptAt ? Date.parse(one.nextAttemptAt) : 0))) : 0;
  const now = useQuery({
    ...eventQuery(eventId), enabled: pending,
    refetchInterval: () => (next - Date.now() > 30_000 ? LATER_MS : SOON_MS),
  });
  const told = useRef<string | null>(null);
  useEffect(() => {
    if (!life || !now.data) return;
    const stands = standing(now.data);
    if (stands === standing(life.event) || stands === told.current) return;
    told.current = stands;
    void queries.invalidateQueries({ queryKey: ["explain", eventId] });
  }, [life, now.data, queries, eventId]);
}

