// All applications: the customers for whom events are posted.
import { Button, Group, Table, Text, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconPlus, IconSearch } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";

import { type Application, applicationsQuery } from "../../api/queries/applications";
import { useSelf } from "../../api/queries/common";
import { CodeBlock } from "../../parts/CodeBlock";
import { Empty } from "../../parts/Empty";
import { counted } from "../../parts/format";
import { Page, PageSkeleton } from "../../parts/Page";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { ApplicationDialog } from "./ApplicationDialog";

const MAKE = 'curl -X POST $BECKET/api/v1/app -H "Authorization: Bearer $TOKEN" \\\n  -H "Content-Type: application/json" -d \'{"name": "Acme", "uid": "customer-42"}\'';

function fits(one: Application, q: string): boolean {
  const wanted = q.toLowerCase();
  return [one.name, one.uid ?? "", one.id, ...Object.entries(one.metadata).flat()].some((text) => String(text).toLowerCase().includes(wanted));
}

/** The list with a search, and a way to make one. */
export function ApplicationsPage() {
  const { q } = useSearch({ from: "/applications" });
  const navigate = useNavigate({ from: "/applications" });
  const me = useSelf();
  const applications = useInfiniteQuery(applicationsQuery);
  const [making, setMaking] = useState(false);
  const all = useMemo(() => applications.data?.pages.flatMap((page) => page.data) ?? [], [applications.data]);
  const rows = useMemo(() => (q ? all.filter((one) => fits(one, q)) : all), [all, q]);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = applications;
  // The API has no search for applications: what is looked for may be on any page.
  useEffect(() => {
    if (q && hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [q, hasNextPage, isFetchingNextPage, fetchNextPage]);
  const look = useDebouncedCallback((text: string) => void navigate({ search: { q: text === "" ? undefined : text }, replace: true }), 150);
  if (applications.isPending) return <PageSkeleton />;
  const create = me.changes && <Button leftSection={<IconPlus size={14} />} onClick={() => setMaking(true)}>New application</Button>;
  return (
    <Page title="Applications" lead="An application is one of your customers: it has its own endpoints, and gets the events that you post for it." actions={create}>
      {making && <ApplicationDialog close={() => setMaking(false)} />}
      {applications.error && <Trouble error={applications.error} retry={() => void applications.refetch()} />}
      {all.length > 0 && (
        <Group gap="sm" role="search">
          <TextInput aria-label="Find an application" placeholder="Name, uid, id or metadata" leftSection={<IconSearch size={14} />} defaultValue={q ?? ""}
            onChange={(event) => look(event.currentTarget.value)} flex={1} miw={200} maw={360} />
          <Text size="xs" c="dimmed" role="status">{counted(rows.length, "application")}{hasNextPage ? " so far" : ""}</Text>
        </Group>
      )}
      {all.length === 0 && !applications.error && (
        <Empty title="There are no applications yet" action={create}>
          <Text ta="center">When you send webhooks to customers of your own, each of them is an application. Make one here, or from your program:</Text>
          <CodeBlock text={MAKE} language="Shell" copyLabel="Copy the command" />
        </Empty>
      )}
      {all.length > 0 && rows.length === 0 && !isFetchingNextPage && (
        <Empty title="No application fits">Look for another part of the name, the uid, the id or the metadata.</Empty>
      )}
      {rows.length > 0 && <List rows={rows} />}
      {hasNextPage && !q && (
        <Group justify="center"><Button variant="default" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>Show more</Button></Group>
      )}
    </Page>
  );
}

function List({ rows }: { rows: Application[] }) {
  return (
    <Table highlightOnHover aria-label="Applications" layout="fixed">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Name</Table.Th>
          <Table.Th w="26%">Uid</Table.Th>
          <Table.Th visibleFrom="sm" w="18%">Limits</Table.Th>
          <Table.Th visibleFrom="sm" w={220}>Made</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rows.map((one) => (
          <Table.Tr key={one.id}>
            <Table.Td>
              <Link to="/applications/$applicationId" params={{ applicationId: one.id }} className="link foreign">{one.name === "" ? one.id : one.name}</Link>
            </Table.Td>
            <Table.Td className="mono foreign">{one.uid ?? "–"}</Table.Td>
            <Table.Td visibleFrom="sm">{limitsOf(one)}</Table.Td>
            <Table.Td visibleFrom="sm"><Time at={one.createdAt} quiet /></Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

/** Its limits in words. */
export function limitsOf(one: Application): string {
  const parts = [
    ...(one.throttleRate ? [`${one.throttleRate} per second`] : []),
    ...(one.validatePayloads ? ["payloads checked"] : []),
  ];
  return parts.length > 0 ? parts.join(", ") : "–";
}
