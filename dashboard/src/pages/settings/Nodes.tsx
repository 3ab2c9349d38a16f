import { Alert, Badge, Group, Skeleton, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { nodesQuery, type NodeOut } from "../../api/queries/home";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { Section } from "./Section";

const LEAD = "The gateways that share the database. Every endpoint belongs to one of 256 shards, and every shard to one node, which delivers to its endpoints; when a node is gone, the others take its shards.";

/** The nodes that share the store, and what is to be known about the database; nothing where there is only one. */
export function Nodes() {
  const nodes = useQuery(nodesQuery);
  if (nodes.data?.store === "sqlite") return null;
  const { data = [], advice = [] } = nodes.data ?? {};
  return (
    <Section title="Nodes" lead={LEAD}>
      <Stack gap="sm">
        {nodes.error && <Trouble error={nodes.error} retry={() => void nodes.refetch()} />}
        {nodes.isPending && <Skeleton h={80} role="status" aria-label="Loading" />}
        {advice.map((one) => (
          <Alert key={one.code} color={one.urgent ? "red" : "yellow"} variant="light" title={one.urgent ? "The database needs somebody" : "About the database"}>
            <span className="foreign">{one.text}</span> <Text span size="xs" c="dimmed" className="mono">{one.code}</Text>
          </Alert>
        ))}
        {data.length > 0 && (
          <Table.ScrollContainer minWidth={560}>
            <Table>
              <Table.Thead>
                <Table.Tr><Table.Th w={70}>Number</Table.Th><Table.Th>Name</Table.Th><Table.Th>Does</Table.Th><Table.Th>Shards</Table.Th><Table.Th>Version</Table.Th><Table.Th>Joined</Table.Th></Table.Tr>
              </Table.Thead>
              <Table.Tbody>{data.map((node) => <Row key={node.number} {...node} />)}</Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        )}
        {data.length > 0 && advice.length === 0 && <Text c="dimmed">Nothing is to be said about the database.</Text>}
      </Stack>
    </Section>
  );
}

function Row({ number, name, roles, shards, version, joinedAt, expiresInMs, own }: NodeOut) {
  return (
    <Table.Tr>
      <Table.Td className="numbers">{number}</Table.Td>
      <Table.Td>
        <Group gap={6} wrap="nowrap">
          <span className="foreign">{name}</span>
          {own && <Text span size="xs" c="dimmed">answers this</Text>}
          {expiresInMs <= 0 && <Badge color="red" variant="light">silent</Badge>}
        </Group>
      </Table.Td>
      <Table.Td>{roles.length === 3 ? "everything" : roles.join(", ")}</Table.Td>
      <Table.Td className="numbers">{shards}</Table.Td>
      <Table.Td className="mono">{version}</Table.Td>
      <Table.Td><Time at={joinedAt} show="ago" quiet /></Table.Td>
    </Table.Tr>
  );
}
