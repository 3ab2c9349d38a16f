import { Button, Card, Group, Skeleton, Stack, Table, Text } from "@mantine/core";
import { useIntersection } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useEffect, useMemo } from "react";

import { useSelf } from "../../api/queries/common";
import { type AuditEntry, auditQuery, STRETCHES } from "../../api/queries/home";
import { Empty } from "../../parts/Empty";
import { Page } from "../../parts/Page";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import "./audit.css";
import { Filters } from "./Filters";
import { isFiltered, type Search } from "./search";
import { Subject } from "./Subject";
import { spoken, who } from "./words";

const LEAD = "Every secret that was shown, every replay and every change: who did it, when, and from where.";

/** Who did what, newest first. */
export function AuditPage() {
  const me = useSelf();
  if (!me.admin) {
    return <Page title="Audit log"><Empty title="Only admins see the audit log">{`You are signed in as ${me.role}. Ask an admin for what you need to know, or for another role.`}</Empty></Page>;
  }
  return <Page title="Audit log" lead={LEAD}><Log /></Page>;
}

// The beginning of a stretch is taken once, so that the pages of the list belong together.
function asked({ range, ...rest }: Search) {
  return { ...rest, ...(range && { since: new Date(Date.now() - STRETCHES[range]).toISOString() }) };
}

const COLUMNS = ["Time", "Who", "What", "To what", "From"];

function Log() {
  const view = useSearch({ from: "/audit" });
  const key = JSON.stringify(view);
  const filter = useMemo(() => asked(JSON.parse(key) as Search), [key]);
  const log = useInfiniteQuery(auditQuery(filter));
  const entries = log.data?.pages.flatMap((page) => page.data) ?? [];
  const actions = useMemo(() => entries.map((entry) => entry.action), [entries]);
  const { ref, entry: end } = useIntersection({ rootMargin: "400px" });
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = log;
  useEffect(() => {
    if (end?.isIntersecting && hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [end?.isIntersecting, hasNextPage, isFetchingNextPage, fetchNextPage]);

  return (
    <Stack gap="sm">
      <Filters view={view} actions={actions} />
      {log.error && <Trouble error={log.error} retry={() => void log.refetch()} />}
      {log.isPending && !log.error && <Stack gap={8} role="status" aria-label="Loading">{Array.from({ length: 10 }, (_, n) => <Skeleton key={n} h={28} />)}</Stack>}
      {log.data && entries.length === 0 && hasNextPage && <Text c="dimmed" role="status">Looking further back…</Text>}
      {log.data && entries.length === 0 && !hasNextPage && (isFiltered(view)
        ? <Empty title="Nothing fits">No entry is as asked for. Leave something out, or take a longer stretch of time.</Empty>
        : <Empty title="Nothing has been done yet">Signing in, showing a secret, replaying an event and every change are written down here.</Empty>)}
      {entries.length > 0 && (
        <Card padding={0}>
          <Table className="audit" role="table">
            <Table.Thead role="rowgroup">
              <Table.Tr role="row">{COLUMNS.map((name) => <Table.Th key={name} role="columnheader">{name}</Table.Th>)}</Table.Tr>
            </Table.Thead>
            <Table.Tbody role="rowgroup">{entries.map((entry) => <Row key={entry.id} entry={entry} />)}</Table.Tbody>
          </Table>
        </Card>
      )}
      <div ref={ref} />
      {hasNextPage && <Group justify="center"><Button variant="default" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>Older entries</Button></Group>}
      {entries.length > 0 && !hasNextPage && <Text size="xs" c="dimmed" ta="center">That is all that is kept.</Text>}
    </Stack>
  );
}

// On a phone a row is a block; the roles keep it a row for those who listen.
function Row({ entry }: { entry: AuditEntry }) {
  const { name, how } = who(entry);
  return (
    <Table.Tr role="row">
      <Table.Td role="cell" className="audit-time"><Time at={entry.at} quiet /></Table.Td>
      <Table.Td role="cell" className="audit-who"><span className="foreign">{name}</span>{how && <Text size="xs" c="dimmed" component="div">{how}</Text>}</Table.Td>
      <Table.Td role="cell" className="audit-what">
        <Text fw={500} component="div" title={entry.action}>{spoken(entry.action)}</Text>
        {entry.detail && <Text size="xs" c="dimmed" component="div" className="foreign">{entry.detail}</Text>}
      </Table.Td>
      <Table.Td role="cell" className="audit-subject"><Subject text={entry.subject} /></Table.Td>
      <Table.Td role="cell" className="mono foreign audit-from">{entry.address ?? "–"}</Table.Td>
    </Table.Tr>
  );
}
