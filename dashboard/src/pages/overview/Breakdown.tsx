import { Card, SimpleGrid, Skeleton, Table, Text, Title } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

import { activityByQuery, type Dimension, type Share, type Stretch, type Sums } from "../../api/queries/home";
import { count, duration, percent } from "../../parts/format";
import { Trouble } from "../../parts/Trouble";

interface Kind {
  dimension: Dimension;
  title: string;
  first: string;
  /** The count that the bar stands for. */
  size: (sums: Sums) => number;
  sizeTitle: string;
  /** Attempts say something of endpoints; of sources and types their refusals and failures do. */
  bad: (sums: Sums) => number;
  badTitle: string;
  empty: string;
}

const KINDS: Kind[] = [
  { dimension: "source", title: "By source", first: "Source", size: (one) => one.received, sizeTitle: "Received", bad: (one) => one.refused, badTitle: "Refused", empty: "Nothing was received in this stretch." },
  { dimension: "endpoint", title: "By endpoint", first: "Endpoint", size: (one) => one.attempts, sizeTitle: "Attempts", bad: (one) => one.attemptsFailed, badTitle: "Failed", empty: "Nothing was sent in this stretch." },
  { dimension: "event_type", title: "By event type", first: "Event type", size: (one) => one.received, sizeTitle: "Received", bad: (one) => one.failed, badTitle: "Failed", empty: "Nothing was received in this stretch." },
];

/** The largest sources, endpoints and event types of the stretch, each a link to more. */
export function Breakdown({ stretch }: { stretch: Stretch }) {
  return (
    <SimpleGrid cols={{ base: 1, md: 2, lg: 3 }} spacing="sm">
      {KINDS.map((kind) => <Shares key={kind.dimension} kind={kind} stretch={stretch} />)}
    </SimpleGrid>
  );
}

function Shares({ kind, stretch }: { kind: Kind; stretch: Stretch }) {
  const shares = useQuery({ ...activityByQuery(kind.dimension, stretch), placeholderData: keepPreviousData });
  const rows = shares.data?.data ?? [];
  const other = shares.data?.other;
  const largest = Math.max(1, ...rows.map(kind.size));
  return (
    <Card padding="sm" mih={150}>
      <Title order={2} size="h4" mb={4}>{kind.title}</Title>
      {shares.error && <Trouble error={shares.error} />}
      {shares.isPending && <Skeleton h={90} role="status" aria-label="Loading" />}
      {shares.data && rows.length === 0 && <Text c="dimmed">{kind.empty}</Text>}
      {rows.length > 0 && (
        <Table verticalSpacing={4} layout="fixed" className="shares">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{kind.first}</Table.Th><Table.Th ta="right" w={72}>{kind.sizeTitle}</Table.Th>
              <Table.Th ta="right" w={64}>{kind.badTitle}</Table.Th><Table.Th ta="right" w={62}>p95</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map((share) => (
              <Row key={share.id ?? share.name} kind={kind} sums={share} name={<Name kind={kind.dimension} share={share} stretch={stretch} />} largest={largest} />
            ))}
            {other && <Row kind={kind} sums={other} name={<Text span c="dimmed">All others</Text>} largest={largest} />}
          </Table.Tbody>
        </Table>
      )}
    </Card>
  );
}

function Row({ kind, sums, name, largest }: { kind: Kind; sums: Sums; name: ReactNode; largest: number }) {
  const size = kind.size(sums);
  return (
    <Table.Tr>
      <Table.Td className="share-name">
        {name}
        <span className="share-bar" aria-hidden><i style={{ width: `${Math.min(size / largest, 1) * 100}%` }} /></span>
      </Table.Td>
      <Table.Td ta="right" className="numbers">{count(size)}</Table.Td>
      <Table.Td ta="right" className="numbers"><Bad part={kind.bad(sums)} all={kind.dimension === "source" ? sums.received + sums.refused : size} /></Table.Td>
      <Table.Td ta="right" className="numbers">{sums.latency ? duration(sums.latency.p95Ms) : "–"}</Table.Td>
    </Table.Tr>
  );
}

function Bad({ part, all }: { part: number; all: number }) {
  if (part === 0) return <Text span c="dimmed">0</Text>;
  return <Text span c="red" fw={500} title={percent(part, all)}>{count(part)}</Text>;
}

function Name({ kind, share, stretch }: { kind: Dimension; share: Share; stretch: Stretch }) {
  const inner = <span className="foreign">{share.name || "(none)"}</span>;
  if (kind === "event_type") return <Link className="plain" to="/events" search={{ type: share.name, range: stretch }}>{inner}</Link>;
  if (share.id === null) return inner;
  if (kind === "endpoint") return <Link className="plain" to="/endpoints/$endpointId" params={{ endpointId: share.id }}>{inner}</Link>;
  if (share.kind === "customer") return <Link className="plain" to="/applications/$applicationId" params={{ applicationId: share.id }}>{inner}</Link>;
  return <Link className="plain" to="/sources/$sourceId" params={{ sourceId: share.id }}>{inner}</Link>;
}
