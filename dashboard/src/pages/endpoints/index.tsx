// All endpoints, of sources, of applications and of the gateway itself.
import { Button, Group, Select, Table, Text, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconPlus, IconSearch } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";

import { useSelf } from "../../api/queries/common";
import { activityByEndpointQuery, type Endpoint, everyEndpointQuery, type NamedSums, type Owner, standingQuery } from "../../api/queries/endpoints";
import { Empty } from "../../parts/Empty";
import { count } from "../../parts/format";
import { Page, PageSkeleton } from "../../parts/Page";
import { State } from "../../parts/State";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { NewEndpoint } from "./NewEndpoint";
import { KINDS, nameOf, percent, successOf } from "./owner";
import "./pages.css";
import type { EndpointsSearch } from "./search";

const STATES = ["enabled", "failing", "paused", "disabled", "removed"];

function fits(endpoint: Endpoint, { q, state, kind, source }: EndpointsSearch): boolean {
  // What is gone is only shown to whoever asks for it.
  if (endpoint.state === "removed" && state !== "removed") return false;
  if (state === "failing" ? endpoint.failingSince === null : state && endpoint.state !== state) return false;
  if (kind && endpoint.kind !== kind) return false;
  if (source && endpoint.source !== source && endpoint.sourceId !== source) return false;
  if (!q) return true;
  const wanted = q.toLowerCase();
  return [endpoint.uid, endpoint.url, endpoint.description, endpoint.id, endpoint.source ?? ""]
    .some((text) => text.toLowerCase().includes(wanted));
}

// Those that need somebody come first.
const RANK: Record<Endpoint["state"], number> = { disabled: 1, paused: 2, enabled: 3, removed: 4 };
const rank = (endpoint: Endpoint): number => (endpoint.failingSince && endpoint.state === "enabled" ? 0 : RANK[endpoint.state]);

/** Every endpoint with how it stands; troubled ones first. */
export function EndpointsPage() {
  const search = useSearch({ from: "/endpoints" });
  const navigate = useNavigate({ from: "/endpoints" });
  const every = useInfiniteQuery(everyEndpointQuery);
  const activity = useQuery({ ...activityByEndpointQuery, retry: false });
  const me = useSelf();
  const [making, setMaking] = useState(false);
  const all = useMemo(() => every.data?.pages.flatMap((page) => page.data) ?? [], [every.data]);
  const rows = useMemo(() => all.filter((one) => fits(one, search)).sort((one, other) => rank(one) - rank(other)), [all, search]);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = every;
  // The API has no search for endpoints: what is looked for may be on any page.
  const searching = Boolean(search.q || search.state || search.kind || search.source);
  useEffect(() => {
    if (searching && hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [searching, hasNextPage, isFetchingNextPage, fetchNextPage]);
  const set = (change: EndpointsSearch) => void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  const look = useDebouncedCallback((q: string) => set({ q: q === "" ? undefined : q }), 150);
  if (every.isPending) return <PageSkeleton />;
  const owners = [...new Set(all.map((one) => one.source).filter((name) => name !== null))].sort();
  return (
    <Page title="Endpoints" lead="Where deliveries go: the endpoints of sources, of applications and of the gateway itself."
      actions={me.changes && me.payloads && <Button leftSection={<IconPlus size={14} />} onClick={() => setMaking(true)}>New endpoint</Button>}>
      {making && <NewEndpoint close={() => setMaking(false)} />}
      <Group gap="xs" role="search">
        <TextInput aria-label="Find an endpoint" placeholder="Name, URL, owner" leftSection={<IconSearch size={14} />} defaultValue={search.q ?? ""}
          onChange={(event) => look(event.currentTarget.value)} flex={1} miw={180} maw={360} />
        <Select aria-label="State" placeholder="Every state" data={STATES} value={search.state ?? null} clearable w={140}
          onChange={(value) => set({ state: value ?? undefined })} />
        <Select aria-label="Kind" placeholder="Every kind" clearable w={150} value={search.kind ?? null}
          data={Object.keys(KINDS)} onChange={(value) => set({ kind: value ?? undefined })} />
        <Select aria-label="Owner" placeholder="Every owner" data={owners} value={search.source ?? null} clearable searchable w={170}
          onChange={(value) => set({ source: value ?? undefined })} />
      </Group>
      {every.error && <Trouble error={every.error} retry={() => void every.refetch()} />}
      {rows.length === 0 && !every.error && !isFetchingNextPage && <Nothing searching={searching} clear={() => void navigate({ search: {}, replace: true })} />}
      {rows.length > 0 && <Endpoints rows={rows} activity={activity.data} owner />}
      {hasNextPage && !searching && (
        <Group justify="center"><Button variant="default" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>Show more</Button></Group>
      )}
    </Page>
  );
}

function Nothing({ searching, clear }: { searching: boolean; clear: () => void }) {
  if (searching) {
    return <Empty title="No endpoint fits" action={<Button variant="default" onClick={clear}>Show all</Button>}>Change what is looked for, or show all endpoints.</Empty>;
  }
  return (
    <Empty title="There are no endpoints yet"
      action={<Group gap="xs"><Button component={Link} to="/applications">Go to applications</Button><Button component={Link} to="/sources" variant="default">Go to sources</Button></Group>}>
      An endpoint is a URL that gets events: those of a source, or those that you post for an application. Open one of them and add an endpoint there.
    </Empty>
  );
}

/** What a row shows of an endpoint. */
export type EndpointRow = Pick<Endpoint, "id" | "uid" | "url" | "description" | "kind" | "state" | "stateReason" | "failingSince" | "source" | "sourceId">;

interface EndpointsProps {
  rows: EndpointRow[];
  activity: Map<string, NamedSums> | undefined;
  /** Whether to tell whose they are. */
  owner?: boolean;
}

// Each count is a question of its own: in a long list only those that are held back are asked about.
const COUNTED_MAX = 30;

/** A table of endpoints. */
export function Endpoints({ rows, activity, owner = false }: EndpointsProps) {
  return (
    <Table highlightOnHover aria-label="Endpoints" layout="fixed">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Endpoint</Table.Th>
          {owner && <Table.Th visibleFrom="sm" w="18%">Owner</Table.Th>}
          <Table.Th w={{ base: 110, sm: 190 }}>State</Table.Th>
          <Table.Th visibleFrom="sm" ta="right" w={110}>Success, 24 h</Table.Th>
          <Table.Th visibleFrom="xs" ta="right" w={80}>Waiting</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rows.map((row) => (
          <Row key={row.id} endpoint={row} sums={activity?.get(row.id)} owner={owner} counts={rows.length <= COUNTED_MAX || row.state === "paused" || row.failingSince !== null} />
        ))}
      </Table.Tbody>
    </Table>
  );
}

interface RowProps {
  endpoint: EndpointRow;
  sums: NamedSums | undefined;
  owner: boolean;
  /** Whether what waits is counted. */
  counts: boolean;
}

function Row({ endpoint, sums, owner, counts }: RowProps) {
  const share = successOf(sums);
  return (
    <Table.Tr>
      <Table.Td>
        <Link to="/endpoints/$endpointId" params={{ endpointId: endpoint.id }} className="link foreign">{nameOf(endpoint)}</Link>
        <Text size="xs" c="dimmed" className="foreign" data-truncate truncate title={endpoint.url}>
          {endpoint.kind !== "http" && <><span className="kind">{endpoint.kind}</span>{" "}</>}{endpoint.url}
        </Text>
      </Table.Td>
      {owner && <Table.Td visibleFrom="sm"><OwnerLink endpoint={endpoint} /></Table.Td>}
      <Table.Td>
        <Standing endpoint={endpoint} />
      </Table.Td>
      <Table.Td visibleFrom="sm" ta="right" className="numbers">
        {percent(share)}
        {sums && sums.attemptsFailed > 0 && <Text size="xs" c="dimmed">{count(sums.attemptsFailed)} failed</Text>}
      </Table.Td>
      <Table.Td visibleFrom="xs" ta="right" className="numbers">{counts ? <Waiting endpoint={endpoint} /> : "–"}</Table.Td>
    </Table.Tr>
  );
}

/** How many deliveries wait there. */
function Waiting({ endpoint: { id, sourceId, state } }: { endpoint: EndpointRow }) {
  const owner: Owner = { kind: sourceId?.startsWith("src_") ? "source" : "application", id: sourceId ?? "" };
  const standing = useQuery({ ...standingQuery(owner, id), enabled: sourceId !== null && state !== "removed", retry: false, refetchInterval: 15_000 });
  return <>{standing.data ? count(standing.data.pending + standing.data.sending) : "–"}</>;
}

/** Its state, and why or since when. */
export function Standing({ endpoint }: { endpoint: Pick<Endpoint, "state" | "stateReason" | "failingSince"> }) {
  const failing = endpoint.failingSince !== null && endpoint.state === "enabled";
  return (
    <>
      {failing ? <State state="failing" tone="bad" /> : <State state={endpoint.state} />}
      {failing && endpoint.failingSince && <Text size="xs" c="dimmed" component="div">since <Time at={endpoint.failingSince} show="ago" quiet /></Text>}
      {!failing && endpoint.stateReason && endpoint.state !== "enabled" && (
        <Text size="xs" c="dimmed" className="foreign" lineClamp={2}>{endpoint.stateReason}</Text>
      )}
    </>
  );
}

/** Whose it is, with a way there. */
export function OwnerLink({ endpoint }: { endpoint: Pick<Endpoint, "source" | "sourceId"> }) {
  const { source, sourceId } = endpoint;
  if (source === null || sourceId === null) return <Text span c="dimmed" inherit>nobody any more</Text>;
  if (sourceId.startsWith("src_")) return <Link to="/sources/$sourceId" params={{ sourceId }} className="link foreign">{source}</Link>;
  return <Link to="/applications/$applicationId" params={{ applicationId: sourceId }} className="link foreign">{source}</Link>;
}
