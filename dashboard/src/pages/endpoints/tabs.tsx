// The parts of an endpoint's page that edit one thing each: filter, transformation, secret and headers.
import { Card, Stack, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { call } from "../../api/client";
import type { Me } from "../../api/queries/common";
import { type Endpoint, filterQuery, headersQuery, type Owner, pathOf, setFilter, transformationQuery, tryFilter } from "../../api/queries/endpoints";
import { EndpointFilter, type Tried } from "../../parts/EndpointFilter";
import { EndpointHeaders } from "../../parts/EndpointHeaders";
import { EndpointTransformation } from "../../parts/EndpointTransformation";
import { notify } from "../../parts/notify";
import { PageSkeleton } from "../../parts/Page";
import { Secret } from "../../parts/Secret";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";

export interface TabProps {
  endpoint: Endpoint;
  owner: Owner;
  locked: string | undefined;
  me: Me;
}

/** Asks again for everything about an endpoint. */
function useChanged(endpoint: Endpoint) {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: ["endpoint", endpoint.id] });
}

export function FilterTab({ endpoint, owner, locked, me }: TabProps) {
  const changed = useChanged(endpoint);
  const filter = useQuery(filterQuery(endpoint.id));
  if (filter.error) return <Trouble error={filter.error} retry={() => void filter.refetch()} />;
  if (!filter.data) return <PageSkeleton rows={4} />;
  const tryOut = async (document: unknown): Promise<Tried[]> =>
    (await tryFilter(owner, document)).map((event) => ({
      id: event.id, eventType: event.eventType, passes: event.passes, at: <Time at={event.receivedAt} quiet />,
      link: <Link to="/events/$eventId" params={{ eventId: event.id }} className="link">{event.eventType ?? "no type"}</Link>,
    }));
  return (
    <EndpointFilter key={filter.data.updatedAt} filter={filter.data.filter} locked={locked}
      tryOut={me.payloads && owner.kind !== "gateway" ? tryOut : undefined}
      save={async (document) => {
        await setFilter(endpoint.id, document);
        notify.done(document === null ? "The filter is taken away." : "The filter is set. It counts from the next event on.");
        await changed();
      }} />
  );
}

function Hint() {
  return (
    <Text size="xs" c="dimmed">
      To try code on an event that came, without delivering anything, run <span className="mono">becket transform test code.js --event msg_…</span> on
      a terminal; or save it, send a test event, and look at the event: it shows what was changed, line by line.
    </Text>
  );
}

export function TransformationTab({ endpoint, owner, locked }: TabProps) {
  const changed = useChanged(endpoint);
  const transformation = useQuery({ ...transformationQuery(owner, endpoint.id), enabled: endpoint.origin === "api" });
  if (endpoint.origin === "file") {
    return <EndpointTransformation transformation={{ code: null, enabled: false, variables: null }}
      locked="This endpoint is declared in the configuration file: if it has a transformation, its code is there too (transform = …)." save={async () => undefined} />;
  }
  if (transformation.error) return <Trouble error={transformation.error} retry={() => void transformation.refetch()} />;
  if (!transformation.data) return <PageSkeleton rows={4} />;
  const { code, enabled, variables, updatedAt } = transformation.data;
  return (
    <EndpointTransformation key={updatedAt ?? "none"} locked={locked} hint={<Hint />}
      transformation={{ code: code ?? null, enabled: enabled ?? false, variables: (variables as Record<string, string> | null | undefined) ?? null }}
      save={async (next) => {
        await call("PATCH", `${pathOf(owner, endpoint.id)}/transformation`, { body: next });
        notify.done(next.code === null ? "The transformation is removed." : next.enabled ? "Saved. It is applied from the next attempt on." : "Saved, but not applied: it is switched off.");
        await changed();
      }} />
  );
}

export function SecurityTab({ endpoint, owner, locked, me }: TabProps) {
  const changed = useChanged(endpoint);
  const headers = useQuery(headersQuery(owner, endpoint.id));
  const path = pathOf(owner, endpoint.id);
  const show = async () => (await call<{ key: string }>("GET", `${path}/secret`)).key;
  const rotate = async (graceSeconds: number, key?: string) => {
    const body = { gracePeriodSeconds: graceSeconds, ...(key !== undefined && { key }) };
    const answered = await call<{ key: string } | undefined>("POST", `${path}/secret/rotate`, { body });
    notify.done("The secret is rotated. The new one signs from now on.");
    await changed();
    return answered?.key ?? show();
  };
  const setHeader = async (name: string, value: string | null) => {
    if (owner.kind === "gateway") {
      // Its headers can only be replaced as a whole.
      const others = Object.entries(headers.data?.headers ?? {}).filter(([known]) => known !== name);
      await call("PUT", `${path}/headers`, { body: { headers: Object.fromEntries(value === null ? others : [...others, [name, value]]) } });
    } else {
      await call("PATCH", `${path}/headers`, { body: { headers: { [name]: value } } });
    }
    notify.done(value === null ? `${name} is no longer sent.` : `${name} goes with every attempt.`);
    await changed();
  };
  return (
    <Stack>
      <Card>
        <Secret label="Signing secret" show={me.changes ? show : undefined} rotate={me.changes && endpoint.state !== "removed" ? rotate : undefined}
          why={me.changes ? "The receiver verifies deliveries with it (Standard Webhooks headers)." : "Your role does not see secrets."} />
      </Card>
      <Card>
        {headers.error && <Trouble error={headers.error} retry={() => void headers.refetch()} />}
        {headers.data && <EndpointHeaders headers={headers.data.headers} sensitive={headers.data.sensitive} save={setHeader} locked={locked} />}
      </Card>
    </Stack>
  );
}
