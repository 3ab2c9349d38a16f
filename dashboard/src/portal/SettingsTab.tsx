// What an endpoint asks for: changed by those who may, read by the others.
import { Skeleton, Stack, Text, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense } from "react";

import { EndpointHeaders } from "../parts/EndpointHeaders";
import { notify } from "../parts/notify";
import { Time } from "../parts/Time";
import { Trouble } from "../parts/Trouble";
import { CodeBlock } from "../parts/CodeBlock";
import { api, ask, plain } from "./api";
import { useRights } from "./context";
import { EndpointFields, type Fields } from "./EndpointFields";
import { wants } from "./pages/Endpoints";
import { filterQuery, headersQuery, standingQuery, type Endpoint } from "./queries";

const EndpointFilter = lazy(() => import("../parts/EndpointFilter").then(({ EndpointFilter: part }) => ({ default: part })));

export function SettingsTab({ endpoint }: { endpoint: Endpoint }) {
  const { app, manage } = useRights();
  const standing = useQuery(standingQuery(app, endpoint.id));
  const mine = manage && standing.data?.origin !== "file";
  return (
    <Stack gap="xl">
      {mine ? <Form endpoint={endpoint} /> : <Facts endpoint={endpoint} />}
      <Headers endpoint={endpoint} mine={mine} />
      <Filter endpoint={endpoint} mine={mine} />
    </Stack>
  );
}

function Form({ endpoint }: { endpoint: Endpoint }) {
  const { app } = useRights();
  const queries = useQueryClient();
  const values: Fields = {
    url: endpoint.url,
    description: endpoint.description,
    eventTypes: endpoint.eventTypes ?? null,
    channels: endpoint.channels ?? null,
    throttleRate: endpoint.throttleRate ?? null,
  };
  const save = async (fields: Fields) => {
    await ask(api.PATCH("/api/v1/app/{app_id}/endpoint/{endpoint_id}", {
      params: { path: { app_id: app, endpoint_id: endpoint.id } }, body: fields,
    }));
    await queries.invalidateQueries({ queryKey: [app] });
    notify.done("Saved.");
  };
  return (
    <section>
      <Title order={2} mb="sm">URL and events</Title>
      <EndpointFields values={values} submitLabel="Save" onSubmit={save} />
    </section>
  );
}

function Facts({ endpoint }: { endpoint: Endpoint }) {
  return (
    <section>
      <Title order={2} mb="sm">URL and events</Title>
      <dl className="facts">
        <dt>URL</dt><dd className="mono foreign">{endpoint.url}</dd>
        <dt>Events</dt><dd className="foreign">{wants(endpoint)}</dd>
        {endpoint.throttleRate ? [<dt key="r">Rate limit</dt>, <dd key="r=">{endpoint.throttleRate} per second</dd>] : null}
        <dt>Added</dt><dd><Time at={endpoint.createdAt} /></dd>
        <dt>Changed</dt><dd><Time at={endpoint.updatedAt} /></dd>
      </dl>
    </section>
  );
}

function Headers({ endpoint, mine }: { endpoint: Endpoint; mine: boolean }) {
  const { app } = useRights();
  const queries = useQueryClient();
  const headers = useQuery(headersQuery(app, endpoint.id));
  const known = headers.data;
  if (!mine && known && Object.keys(known.headers).length + known.sensitive.length === 0) return null;
  const save = async (name: string, value: string | null) => {
    await ask(api.PATCH("/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers", {
      params: { path: { app_id: app, endpoint_id: endpoint.id } },
      body: value === null ? { headers: {}, deleteHeaders: [name] } : { headers: { [name]: value }, deleteHeaders: [] },
    }));
    await queries.invalidateQueries({ queryKey: [app, "headers"] });
  };
  return (
    <section aria-label="Headers">
      {headers.error && <Trouble error={headers.error} retry={() => void headers.refetch()} />}
      {known
        ? <EndpointHeaders headers={known.headers} sensitive={known.sensitive} save={save} {...(!mine && { locked: "Your access is for looking only." })} />
        : <Skeleton h={80} />}
    </section>
  );
}

function Filter({ endpoint, mine }: { endpoint: Endpoint; mine: boolean }) {
  const { app } = useRights();
  const queries = useQueryClient();
  const found = useQuery({ ...filterQuery(app, endpoint.id), retry: false });
  // A gateway that does not let portals see filters has none to show.
  if (found.error || !found.data) return null;
  const { filter } = found.data;
  if (!mine && filter === null) return null;
  const save = async (next: unknown) => {
    await plain("PUT", `/api/v1/becket/endpoint/${encodeURIComponent(endpoint.id)}/filter`, { filter: next });
    await queries.invalidateQueries({ queryKey: [app, "filter"] });
    notify.done(next === null ? "The filter is removed." : "The filter is saved. It holds for events from now on.");
  };
  return (
    <section>
      <Title order={2} mb="sm">Filter by content</Title>
      {mine
        ? <Suspense fallback={<Skeleton h={120} />}><EndpointFilter key={JSON.stringify(filter)} filter={filter} save={save} /></Suspense>
        : <><Text c="dimmed" mb="xs">Only events that fit this are delivered here.</Text><CodeBlock language="JSON" text={JSON.stringify(filter, null, 2)} /></>}
    </section>
  );
}
