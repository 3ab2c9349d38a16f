// The settings of an endpoint that the API can change, and those that it can only show.
import { Card, SimpleGrid, Table, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";

import { call } from "../../api/client";
import { useSelf } from "../../api/queries/common";
import { detailsQuery, type Endpoint, type EndpointDetails, type Owner, pathOf } from "../../api/queries/endpoints";
import { eventTypesQuery } from "../../api/queries/event-types";
import { CopyButton } from "../../parts/CopyButton";
import { type EndpointField, EndpointForm, type EndpointValues } from "../../parts/EndpointForm";
import { duration } from "../../parts/format";
import { notify } from "../../parts/notify";
import { PageSkeleton } from "../../parts/Page";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { KINDS } from "./owner";

/** The types of the events about the gateway itself. */
export const GATEWAY_TYPES = [
  "background_task.finished", "endpoint.created", "endpoint.deleted", "endpoint.disabled", "endpoint.enabled", "endpoint.updated",
  "ingest.endpoint.disabled", "ingest.message.attempt.exhausted", "ingest.message.attempt.failing", "ingest.message.attempt.recovered",
  "message.attempt.exhausted", "message.attempt.failing", "message.attempt.recovered",
];

/** The fields that an endpoint of this owner has. */
export function fieldsOf(owner: Owner["kind"], privates: boolean): EndpointField[] {
  const common: EndpointField[] = ["url", "description", "eventTypes", "throttleRate", "uid", "metadata"];
  return [...common, ...(owner === "application" ? ["channels" as const] : []), ...(privates ? ["allowPrivate" as const] : [])];
}

/** What the API is told. */
export function bodyOf(values: EndpointValues, fields: readonly EndpointField[]): Record<string, unknown> {
  return Object.fromEntries(fields.map((field) => [field, values[field]]));
}

interface Props {
  endpoint: Endpoint;
  owner: Owner;
  locked: string | undefined;
}

/** The form, and what else is known. */
export function Settings({ endpoint, owner, locked }: Props) {
  const queries = useQueryClient();
  const me = useSelf();
  const details = useQuery(detailsQuery(owner, endpoint.id));
  const types = useQuery(eventTypesQuery);
  if (details.error) return <Trouble error={details.error} retry={() => void details.refetch()} />;
  if (!details.data || types.isPending) return <PageSkeleton rows={4} />;
  const fields = fieldsOf(owner.kind, me.admin && me.environment === 1);
  const save = async (values: EndpointValues) => {
    const method = owner.kind === "gateway" ? "PUT" : "PATCH";
    await call(method, pathOf(owner, endpoint.id), { body: bodyOf(values, fields) });
    await Promise.all([
      queries.invalidateQueries({ queryKey: ["endpoint", endpoint.id] }),
      queries.invalidateQueries({ queryKey: ["endpoints"] }),
    ]);
    notify.done("Saved. It counts from the next event on.");
  };
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
      <Card>
        <EndpointForm key={details.data.updatedAt} values={valuesOf(details.data)} fields={fields} freeTypes={owner.kind !== "application"}
          types={owner.kind === "gateway" ? GATEWAY_TYPES.map((name) => ({ name })) : (types.data ?? []).filter((type) => !type.archived)}
          locked={locked} onSubmit={save} />
      </Card>
      <Facts endpoint={endpoint} />
    </SimpleGrid>
  );
}

function valuesOf(details: EndpointDetails): Partial<EndpointValues> {
  return {
    url: details.url,
    description: details.description,
    uid: details.uid ?? null,
    eventTypes: details.eventTypes ?? null,
    channels: details.channels ?? null,
    throttleRate: details.throttleRate ?? null,
    metadata: details.metadata,
    allowPrivate: details.allowPrivate ?? false,
  };
}

function Facts({ endpoint }: { endpoint: Endpoint }) {
  const delays = endpoint.retryDelaysMs;
  const whole = delays.reduce((sum, delay) => sum + delay, 0);
  const rows: [string, React.ReactNode][] = [
    ["Id", <span key="id"><span className="mono foreign">{endpoint.id}</span> <CopyButton value={endpoint.id} label="Copy the id" /></span>],
    ["Kind", `${endpoint.kind}: ${KINDS[endpoint.kind]}`],
    ["Time to answer", `${duration(endpoint.timeoutMs)} (${duration(endpoint.connectTimeoutMs)} to connect)`],
    ["At the same time", `${endpoint.concurrency} attempts at most`],
    ["Rate", endpoint.rate ?? "no limit"],
    ["Retries", delays.length === 0 ? "none: one attempt" : `${delays.length}, after ${delays.map((delay) => duration(delay)).join(", ")} (${duration(whole)} in all)`],
    ["Private networks", endpoint.allowPrivate ? "may be reached" : "are not reached"],
    ["Declared", endpoint.origin === "file" ? "in the configuration file" : "through the API"],
    ["Made", <Time key="made" at={endpoint.createdAt} />],
    ["Changed", <Time key="changed" at={endpoint.updatedAt} />],
  ];
  return (
    <Card className="top">
      <Text component="h2" fw={600} size="md" mb="xs">How it delivers</Text>
      <Table variant="vertical" layout="fixed" aria-label="How it delivers">
        <Table.Tbody>
          {rows.map(([name, value]) => (
            <Table.Tr key={name}><Table.Th w={150} scope="row">{name}</Table.Th><Table.Td>{value}</Table.Td></Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <Text size="xs" c="dimmed" mt="xs">
        The times and the schedule come from the configuration file ([[source.endpoint]] for endpoints declared there, the standard
        values for others); an event type can have a schedule of its own.
      </Text>
    </Card>
  );
}
