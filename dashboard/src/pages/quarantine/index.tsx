// What was refused, and why: newest first, filtered by what stands in the URL.
import { Button, Card, Group, Select, Stack, Text } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";

import { type Refused, quarantineQuery, sourceListQuery } from "../../api/queries/sources";
import { useSelf } from "../../api/queries/common";
import { Empty } from "../../parts/Empty";
import { Page, PageSkeleton } from "../../parts/Page";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { brokeRule, reasonWord, reasons } from "../../parts/VerdictWords";
import { bytes, count } from "../../parts/format";
import { nameOf } from "../sources/names";
import "../sources/sources.css";
import { useView } from "../sources/view";
import { RetryMany } from "./RetryMany";
import { type QuarantineSearch, search } from "./search";

const HOUR_MS = 3_600_000;
const SPANS = [
  { value: String(HOUR_MS), label: "The last hour" },
  { value: String(24 * HOUR_MS), label: "The last day" },
  { value: String(7 * 24 * HOUR_MS), label: "The last week" },
];

export function QuarantinePage() {
  const me = useSelf();
  const [view, change] = useView(search);
  const list = useInfiniteQuery(quarantineQuery(view));
  const sources = useQuery(sourceListQuery);
  const rows = list.data?.pages.flatMap((page) => page.data as Refused[]) ?? [];
  const filtered = Boolean(view.source ?? view.code ?? view.since ?? view.until);
  const names = useMemo(() => new Map(sources.data?.map((source) => [source.id, nameOf(source)])), [sources.data]);
  const source = sources.data?.find((one) => one.id === view.source || one.uid === view.source);
  return (
    <Page title="Quarantine" lead="Requests that could not be verified, or that broke a rule of their source. They are kept with their bytes: once the cause is found, what was refused can become events after all.">
      {(filtered || rows.length > 0) && <Filters view={view} change={change} sources={(sources.data ?? []).map((one) => ({ value: one.id, label: nameOf(one) }))} source={source?.id} />}
      {list.error && <Trouble error={list.error} retry={() => void list.refetch()} />}
      {list.isPending && <PageSkeleton rows={5} />}
      {list.data && rows.length === 0 && (
        <Empty title={filtered ? "Nothing refused fits" : "Nothing was refused"}
          action={filtered && <Button variant="default" onClick={() => change({ source: undefined, code: undefined, since: undefined, until: undefined })}>Show everything</Button>}>
          {filtered
            ? "No refused request has this source, reason and time."
            : "When a request is not signed as its provider signs, it is refused and shown here, with what was found: another secret, a changed body, a clock that is wrong. With the cause repaired it can be verified again."}
        </Empty>
      )}
      {rows.length > 0 && (
        <Stack gap="sm">
          <Group justify="space-between">
            <Counts rows={rows} more={list.hasNextPage} code={view.code} onCode={(code) => change({ code })} />
            {me.changes && source && <RetryMany key={source.id} source={source} code={view.code} since={view.since} until={view.until} />}
          </Group>
          {me.changes && !source && <Text size="xs" c="dimmed">Choose a source to verify many of its requests again.</Text>}
          <Card p={0} component="ul" className="plain-list" aria-label="Refused requests">
            {rows.map((request) => <Row key={request.number} request={request} name={names.get(request.sourceId ?? "") ?? request.source ?? "a source that is gone"} />)}
          </Card>
          {list.hasNextPage && <Group justify="center"><Button variant="default" loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>Older ones</Button></Group>}
        </Stack>
      )}
    </Page>
  );
}

interface FiltersProps {
  view: QuarantineSearch;
  change: (to: Partial<QuarantineSearch>, how?: { replace?: boolean }) => void;
  sources: { value: string; label: string }[];
  source: string | undefined;
}

function Filters({ view, change, sources, source }: FiltersProps) {
  const replace = { replace: true };
  return (
    <Group gap="xs" className="filters">
      <Select aria-label="Source" placeholder="Every source" clearable searchable data={sources} value={source ?? null} clearButtonProps={{ "aria-label": "Every source" }}
        onChange={(value) => change({ source: value ?? undefined }, replace)} />
      <Select aria-label="Reason" placeholder="Every reason" clearable searchable data={reasons} value={view.code ?? null} clearButtonProps={{ "aria-label": "Every reason" }} w={230}
        onChange={(value) => change({ code: value ?? undefined }, replace)} />
      <Select aria-label="Time" placeholder={view.since ? "Since a moment" : "Any time"} clearable={view.since !== undefined} clearButtonProps={{ "aria-label": "Any time" }} data={SPANS}
        value={null} onChange={(value) => change({ since: value ? new Date(Date.now() - Number(value)).toISOString() : undefined, until: undefined }, replace)} />
      {view.since && (
        <Group gap={4}>
          <Text size="xs" c="dimmed">since <Time at={view.since} show="exact" /></Text>
          <Button variant="subtle" size="compact-xs" onClick={() => change({ since: undefined, until: undefined }, replace)}>Any time</Button>
        </Group>
      )}
    </Group>
  );
}

interface CountsProps { rows: Refused[]; more: boolean; code: string | undefined; onCode: (code: string) => void }

/** How often each reason is among what is shown; one click keeps only that one. */
function Counts({ rows, more, code, onCode }: CountsProps) {
  const counts = new Map<string, number>();
  for (const row of rows) counts.set(row.code, (counts.get(row.code) ?? 0) + 1);
  return (
    <Group gap={6}>
      <Text size="sm" c="dimmed" role="status">{count(rows.length)}{more && " and more"} refused</Text>
      {!code && counts.size > 1 && [...counts].toSorted((a, b) => b[1] - a[1]).map(([reason, number]) => (
        <Button key={reason} variant="default" size="compact-xs" onClick={() => onCode(reason)}>{reasonWord(reason)}: {number}</Button>
      ))}
    </Group>
  );
}

function Row({ request, name }: { request: Refused; name: string }) {
  return (
    <li>
      <Link className="refused-row" to="/quarantine/$number" params={{ number: String(request.number) }}>
        <Text size="sm" fw={500} className="foreign">{name}</Text>
        <Text size="sm" className="refused-why">{reasonWord(request.code)}{brokeRule(request.code) && <Text span size="xs" c="dimmed"> (genuine)</Text>}</Text>
        <Text size="sm" c="dimmed"><Time at={request.receivedAt} quiet /></Text>
        <Text size="xs" c="dimmed" ta="right">{bytes(request.sizeBytes)}, answered {request.status}</Text>
      </Link>
    </li>
  );
}
