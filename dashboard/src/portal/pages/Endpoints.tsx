// Where events are delivered: the first page.
import { Button, Skeleton, Text } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";

import { CodeBlock } from "../../parts/CodeBlock";
import { Empty } from "../../parts/Empty";
import { count, percent } from "../../parts/format";
import { State } from "../../parts/State";
import { Trouble } from "../../parts/Trouble";
import { useRights } from "../context";
import { Page } from "../Page";
import { to } from "../place";
import { endpointsQuery, standingQuery, statsQuery, type Endpoint } from "../queries";
import { nameOf, stateOf } from "../words";
import { SourceAddress } from "../SourceAddress";

/** More endpoints than this are listed without their figures: each costs a question. */
const FIGURES_MAX = 30;

export function EndpointsPage() {
  const rights = useRights();
  const endpoints = useQuery(endpointsQuery(rights.app));
  const add = (
    <Button component="a" href={to(["endpoints", "new"])} leftSection={<IconPlus size={15} aria-hidden />}>Add an endpoint</Button>
  );
  const some = (endpoints.data?.length ?? 0) > 0;
  return (
    <Page title="Endpoints" lead="Where your events are delivered."
      actions={rights.manage && some ? add : undefined}>
      {rights.source && <SourceAddress />}
      {endpoints.error && <Trouble error={endpoints.error} retry={() => void endpoints.refetch()} />}
      {endpoints.isPending && <Skeleton h={140} />}
      {endpoints.data && !some && <NoneYet add={rights.manage ? add : undefined} />}
      {endpoints.data && some && (
        <ul className="rows">
          {endpoints.data.map((endpoint) => (
            <li key={endpoint.id}><Row endpoint={endpoint} figures={endpoints.data.length <= FIGURES_MAX} /></li>
          ))}
        </ul>
      )}
    </Page>
  );
}

function NoneYet({ add }: { add: React.ReactNode }) {
  return (
    <Empty title="No endpoint yet" action={add}>
      <Text ta="center">
        An endpoint is a URL of your own, such as <span className="mono">https://example.com/webhooks</span>.
        When something happens, a signed HTTP request is sent there, and sent again if your server does not answer with a 2xx status.
      </Text>
      <CodeBlock language="HTTP" copyLabel="Copy the request" text={REQUEST} />
    </Empty>
  );
}

const REQUEST = `POST /webhooks HTTP/1.1
content-type: application/json
webhook-id: msg_2Lml1s...
webhook-timestamp: 1788000000
webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=

{"id": "ord_42"}`;

function Row({ endpoint, figures }: { endpoint: Endpoint; figures: boolean }) {
  const name = nameOf(endpoint);
  return (
    <a className="row endpoint" href={to(["endpoints", endpoint.id])}>
      <div>
        <Text fw={500} className="foreign">{name}</Text>
        <Text size="xs" c="dimmed" className="mono foreign">{endpoint.url}</Text>
        <Text size="xs" c="dimmed">{wants(endpoint)}</Text>
      </div>
      <div className="health">{figures && <Health id={endpoint.id} />}</div>
      <div className="end"><Standing endpoint={endpoint} ask={figures} /></div>
    </a>
  );
}

/** Its state; one that is enabled and fails says so. */
function Standing({ endpoint, ask }: { endpoint: Endpoint; ask: boolean }) {
  const { app } = useRights();
  const standing = useQuery({ ...standingQuery(app, endpoint.id), enabled: ask, retry: false });
  const state = stateOf(endpoint);
  return <State state={state === "enabled" && standing.data?.failingSince ? "failing" : state} />;
}

/** Which events an endpoint asks for, in a few words. */
export function wants({ eventTypes, channels }: Pick<Endpoint, "eventTypes" | "channels">): string {
  const types = eventTypes ?? [];
  const shown = types.slice(0, 3).join(", ");
  const what = types.length === 0 ? "All events" : types.length > 3 ? `${shown} and ${types.length - 3} more` : shown;
  return channels && channels.length > 0 ? `${what} · channels ${channels.join(", ")}` : what;
}

function Health({ id }: { id: string }) {
  const { app } = useRights();
  const stats = useQuery(statsQuery(app, id));
  if (!stats.data) return null;
  const { success, fail, pending, sending } = stats.data;
  const ended = success + fail;
  const waiting = pending + sending;
  return (
    <div className="numbers">
      <Text size="sm">{ended > 0 ? `${percent(success, ended)} delivered` : waiting > 0 ? "nothing delivered yet" : "nothing sent yet"}</Text>
      <Text size="xs" c="dimmed">
        {[fail > 0 && `${count(fail)} failed`, waiting > 0 && `${count(waiting)} waiting`].filter(Boolean).join(" · ") || "in 28 days"}
      </Text>
    </div>
  );
}
