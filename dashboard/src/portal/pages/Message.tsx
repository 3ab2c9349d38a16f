// One event: what was sent, where it went, every attempt with the answer, sending it again.
import { Button, Skeleton, Text, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { notify } from "../../parts/notify";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { api, ask } from "../api";
import { Attempts } from "../Attempts";
import { useRights } from "../context";
import { Page } from "../Page";
import { Payload } from "../Payload";
import { to } from "../place";
import { attemptsQuery, destinationsQuery, messageQuery, type Destination, type Message } from "../queries";
import { Due, Status } from "../Status";
import { nameOf, stateOf } from "../words";

export function MessagePage({ id }: { id: string }) {
  const { app } = useRights();
  const message = useQuery(messageQuery(app, id));
  const back = { label: "Deliveries", href: to(["deliveries"]) };
  if (message.error) return <Page title="Event" back={back}><Trouble error={message.error} retry={() => void message.refetch()} /></Page>;
  if (!message.data) return <Page title="Event" back={back}><Skeleton h={240} /></Page>;
  return (
    <Page title={message.data.eventType} back={back}>
      <Facts message={message.data} />
      <Destinations message={message.data} />
      <AllAttempts id={message.data.id} />
      <section>
        <Title order={2} mb="xs">Payload</Title>
        <Payload payload={message.data.payload} />
      </section>
    </Page>
  );
}

function Facts({ message }: { message: Message }) {
  const facts: [string, React.ReactNode][] = [
    ["Sent", <Time key="t" at={message.timestamp} />],
    ["Event id", <span key="i" className="mono foreign">{message.id}</span>],
  ];
  if (message.eventId) facts.push(["Sender’s id", <span key="e" className="mono foreign">{message.eventId}</span>]);
  if (message.channels?.length) facts.push(["Channels", <span key="c" className="foreign">{message.channels.join(", ")}</span>]);
  if (message.tags?.length) facts.push(["Tags", <span key="g" className="foreign">{message.tags.join(", ")}</span>]);
  return <dl className="facts">{facts.map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name}=`}>{value}</dd>])}</dl>;
}

function Destinations({ message }: { message: Message }) {
  const { app } = useRights();
  const found = useQuery(destinationsQuery(app, message.id));
  return (
    <section>
      <Title order={2} mb="xs">Endpoints</Title>
      {found.error && <Trouble error={found.error} retry={() => void found.refetch()} />}
      {found.isPending && <Skeleton h={60} />}
      {found.data?.length === 0 && <Text c="dimmed">No endpoint wanted this event when it was sent.</Text>}
      {found.data && found.data.length > 0 && (
        <ul className="rows">
          {found.data.map((one) => <li key={one.id}><DestinationRow message={message} one={one} /></li>)}
        </ul>
      )}
    </section>
  );
}

function DestinationRow({ message, one }: { message: Message; one: Destination }) {
  const { app, attempt } = useRights();
  const queries = useQueryClient();
  const [busy, setBusy] = useState(false);
  const resend = async () => {
    setBusy(true);
    try {
      await ask(api.POST("/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend", {
        params: { path: { app_id: app, msg_id: message.id, endpoint_id: one.id } },
      }));
      notify.done("It is being sent again.");
      await queries.invalidateQueries({ queryKey: [app] });
    } catch (error) {
      notify.failed(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <div className="row endpoint">
      <div>
        <a className="link foreign" href={to(["endpoints", one.id])}>{nameOf(one)}</a>
        <Text size="xs" c="dimmed" className="mono foreign">{one.url}</Text>
      </div>
      <div className="health">
        <Status status={one.statusText} />
        {one.nextAttempt && <Due at={one.nextAttempt} />}
      </div>
      <div className="end">
        {attempt && stateOf({ ...one, disabled: one.disabled ?? false }) !== "disabled" && (
          <Button variant="default" loading={busy} onClick={() => void resend()}>Send again<span className="visually-hidden"> to {nameOf(one)}</span></Button>
        )}
      </div>
    </div>
  );
}

function AllAttempts({ id }: { id: string }) {
  const { app } = useRights();
  const attempts = useQuery(attemptsQuery(app, id));
  const places = useQuery(destinationsQuery(app, id));
  const names = new Map(places.data?.map((one) => [one.id, nameOf(one)]));
  return (
    <section>
      <Title order={2} mb="xs">Attempts</Title>
      {attempts.error && <Trouble error={attempts.error} retry={() => void attempts.refetch()} />}
      {attempts.isPending && <Skeleton h={60} />}
      {attempts.data && <Attempts attempts={attempts.data} names={names} />}
    </section>
  );
}
