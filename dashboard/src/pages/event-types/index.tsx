// All event types, with a way to make one and to take them from an OpenAPI document.
import { Badge, Button, Group, Switch, Table, Text, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconBook, IconFileImport, IconPlus, IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";

import { useSelf } from "../../api/queries/common";
import { type EventType, eventTypesQuery } from "../../api/queries/event-types";
import { Empty } from "../../parts/Empty";
import { counted } from "../../parts/format";
import { Page, PageSkeleton } from "../../parts/Page";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { ImportDialog } from "./ImportDialog";
import { NewDialog } from "./NewDialog";

const fits = (type: EventType, q: string) =>
  [type.name, type.description, type.groupName ?? "", ...(type.featureFlags ?? [])].some((text) => text.toLowerCase().includes(q.toLowerCase()));

/** The list. */
export function EventTypesPage() {
  const search = useSearch({ from: "/event-types" });
  const navigate = useNavigate({ from: "/event-types" });
  const me = useSelf();
  const types = useQuery(eventTypesQuery);
  const [dialog, setDialog] = useState<"new" | "import" | null>(null);
  const look = useDebouncedCallback((q: string) => void navigate({ search: (before) => ({ ...before, q: q === "" ? undefined : q }), replace: true }), 150);
  if (types.isPending) return <PageSkeleton />;
  const all = types.data ?? [];
  const archived = all.filter((type) => type.archived).length;
  const rows = all.filter((type) => (search.archived || !type.archived) && (!search.q || fits(type, search.q)));
  const create = (
    <>
      <Button component="a" href="/api/v1/becket/event-catalogue" target="_blank" rel="noreferrer" variant="default" leftSection={<IconBook size={14} />}>Catalogue</Button>
      {me.changes && <Button variant="default" leftSection={<IconFileImport size={14} />} onClick={() => setDialog("import")}>Import</Button>}
      {me.changes && <Button leftSection={<IconPlus size={14} />} onClick={() => setDialog("new")}>New event type</Button>}
    </>
  );
  return (
    <Page title="Event types" lead="What you can say to your customers: each kind of event with a description and a schema of its payload." actions={create}>
      {dialog === "new" && <NewDialog close={() => setDialog(null)} />}
      {dialog === "import" && <ImportDialog close={() => setDialog(null)} />}
      {types.error && <Trouble error={types.error} retry={() => void types.refetch()} />}
      {all.length === 0 && !types.error && (
        <Empty title="There are no event types yet" action={me.changes && <Button onClick={() => setDialog("new")}>New event type</Button>}>
          An event type names a kind of event, such as invoice.paid. Endpoints choose among them, payloads are checked against their schemas, and your customers read them in the catalogue. If you have an OpenAPI document with webhooks, import it.
        </Empty>
      )}
      {all.length > 0 && (
        <Group gap="sm" role="search">
          <TextInput aria-label="Find an event type" placeholder="Name, description, group or flag" leftSection={<IconSearch size={14} />} defaultValue={search.q ?? ""}
            onChange={(event) => look(event.currentTarget.value)} flex={1} miw={220} maw={360} />
          {archived > 0 && (
            <Switch label={`Show archived (${archived})`} checked={search.archived ?? false}
              onChange={(event) => { const on = event.currentTarget.checked; void navigate({ search: (before) => ({ ...before, archived: on ? true : undefined }), replace: true }); }} />
          )}
          <Text size="xs" c="dimmed" role="status">{counted(rows.length, "event type")}</Text>
        </Group>
      )}
      {all.length > 0 && rows.length === 0 && <Empty title="No event type fits">Look for another part of the name, the description, the group or a flag.</Empty>}
      {rows.length > 0 && <List rows={rows} />}
    </Page>
  );
}

/** What is special about an event type, in small signs. */
export function Marks({ type }: { type: EventType }) {
  return (
    <Group gap={4} component="span">
      {type.archived && <Badge variant="light" color="gray" radius="sm" tt="none">archived</Badge>}
      {type.deprecated && <Badge variant="light" color="yellow" radius="sm" tt="none">deprecated</Badge>}
      {type.validatePayloads && <Badge variant="light" color="blue" radius="sm" tt="none">checked</Badge>}
      {(type.featureFlags ?? []).map((flag) => <Badge key={flag} variant="default" radius="sm" tt="none" fw={400} title="Only shown to customers with this feature flag">flag {flag}</Badge>)}
    </Group>
  );
}

function List({ rows }: { rows: EventType[] }) {
  return (
    <Table highlightOnHover aria-label="Event types" layout="fixed">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Name</Table.Th>
          <Table.Th visibleFrom="sm" w="16%">Group</Table.Th>
          <Table.Th w={{ base: 120, sm: 240 }}><span className="visually-hidden">Marks</span></Table.Th>
          <Table.Th visibleFrom="md" w={210}>Changed</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rows.map((type) => (
          <Table.Tr key={type.name}>
            <Table.Td>
              <Link to="/event-types/$name" params={{ name: type.name }} className="link mono foreign">{type.name}</Link>
              <Text size="xs" c="dimmed" className="foreign" lineClamp={1}>{type.description}</Text>
            </Table.Td>
            <Table.Td visibleFrom="sm" className="foreign">{type.groupName ?? "–"}</Table.Td>
            <Table.Td><Marks type={type} /></Table.Td>
            <Table.Td visibleFrom="md"><Time at={type.updatedAt} quiet /></Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
