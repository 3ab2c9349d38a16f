// Everything by which events can be found; each change is a new URL.
import { Alert, Badge, Button, Drawer, Group, Popover, Select, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { IconBraces, IconFilter, IconSearch, IconX } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";

import { endpointsQuery, sourcesQuery } from "../../api/queries/common";
import { applicationsQuery, eventTypesQuery } from "../../api/queries/events";
import { FilterField } from "../../parts/FilterField";
import { FilterTime } from "../../parts/FilterTime";
import { type EventsSearch, isFiltered } from "./search";
import { bodyFilter, WHERE_HELP } from "./where";

interface Props {
  view: EventsSearch;
  onChange: (change: EventsSearch) => void;
  onClear: () => void;
  /** Event types that were seen in the list. */
  seenTypes: string[];
  phone: boolean;
  payloads: boolean;
}

const STATES = ["pending", "delivered", "failed", "cancelled", "filtered", "invalid"];
const ID = /^msg_[A-Za-z0-9]*$/;

export function Filters(props: Props) {
  const { view, onChange, onClear, phone, payloads } = props;
  const [opened, setOpened] = useState(false);
  const number = Object.entries(view).filter(([field, value]) => value !== undefined && field !== "text" && field !== "id").length;
  if (phone) {
    return (
      <Group gap="xs" wrap="nowrap">
        <SearchField view={view} onChange={onChange} payloads={payloads} />
        <Button variant={number > 0 ? "light" : "default"} leftSection={<IconFilter size={15} />} onClick={() => setOpened(true)} flex="none"
          rightSection={number > 0 ? <Badge size="xs" circle>{number}</Badge> : null}>Filters</Button>
        <Drawer opened={opened} onClose={() => setOpened(false)} position="bottom" size="90%" title="Filters">
          <Stack gap="sm">
            <Fields {...props} labelled />
            <Condition view={view} onChange={onChange} onDone={() => setOpened(false)} payloads={payloads} />
            <Group grow>
              <Button variant="default" onClick={() => { onClear(); setOpened(false); }}>Clear all</Button>
              <Button onClick={() => setOpened(false)}>Show events</Button>
            </Group>
          </Stack>
        </Drawer>
      </Group>
    );
  }
  return (
    <div className="filters" role="search" aria-label="Filter events">
      <div className="filters-first">
        <SearchField view={view} onChange={onChange} payloads={payloads} />
        <ConditionButton view={view} onChange={onChange} payloads={payloads} />
        <FilterTime value={view} onChange={onChange} />
        {isFiltered(view) && <Button variant="subtle" leftSection={<IconX size={14} />} onClick={onClear}>Clear filters</Button>}
      </div>
      <div className="filters-more"><Fields {...props} /></div>
    </div>
  );
}

function Fields({ view, onChange, seenTypes, labelled = false }: Props & { labelled?: boolean }) {
  const sources = useQuery(sourcesQuery);
  const endpoints = useQuery({ ...endpointsQuery, refetchInterval: false });
  const applications = useQuery(applicationsQuery);
  const types = useQuery(eventTypesQuery);
  const name = (label: string) => (labelled ? { label } : { "aria-label": label });
  return (
    <>
      <FilterField label="Source" placeholder="Any source" labelled={labelled} value={view.source} suggestions={sources.data?.data.map((one) => one.uid ?? one.id) ?? []}
        onChange={(source) => onChange({ source, application: undefined })} />
      <FilterField label="Application" placeholder="Any application" labelled={labelled} value={view.application}
        suggestions={applications.data?.data.map((one) => one.uid ?? one.id) ?? []} onChange={(application) => onChange({ application, source: undefined })} />
      <FilterField label="Endpoint" placeholder="Any endpoint" labelled={labelled} value={view.endpoint}
        suggestions={endpoints.data?.data.map((one) => `${one.source}/${one.uid}`) ?? []} onChange={(endpoint) => onChange({ endpoint })} />
      <FilterField label="Event type" placeholder="Any type" labelled={labelled} value={view.type}
        suggestions={[...seenTypes, ...(types.data?.data.map((one) => one.name) ?? [])].sort()} onChange={(type) => onChange({ type })} />
      <Select {...name("State")} placeholder="Any state" clearable data={STATES} value={view.status ?? null} onChange={(value) => onChange({ status: value ?? undefined })} />
      <Select {...name("Verdict")} placeholder="Any verdict" clearable data={["genuine", "unverified"]} value={view.verdict ?? null}
        onChange={(value) => onChange({ verdict: value ?? undefined })} />
      {labelled && <FilterTime value={view} onChange={onChange} fullWidth />}
    </>
  );
}

function SearchField({ view, onChange, payloads }: Pick<Props, "view" | "onChange" | "payloads">) {
  const given = view.id ?? view.text ?? "";
  const [text, setText] = useState(given);
  useEffect(() => setText(given), [given]);
  const take = (event?: FormEvent) => {
    event?.preventDefault();
    const wanted = text.trim();
    const isId = ID.test(wanted);
    onChange({ id: isId ? wanted : undefined, text: wanted && !isId ? text : undefined });
  };
  return (
    <form className="search" onSubmit={take} style={{ flex: 1 }}>
      <TextInput aria-label="Event id, or text in the payload" type="search" leftSection={<IconSearch size={15} />}
        placeholder={payloads ? "Event id, or text in the payload" : "Event id"} value={text}
        onChange={(change) => { setText(change.currentTarget.value); if (change.currentTarget.value === "" && given) onChange({ id: undefined, text: undefined }); }} />
    </form>
  );
}

function ConditionButton({ view, onChange, payloads }: Pick<Props, "view" | "onChange" | "payloads">) {
  const [opened, setOpened] = useState(false);
  const set = Boolean(view.where || view.filter);
  const label = view.where ?? (view.filter ? "Filter document" : "Payload field");
  return (
    <Popover opened={opened} onChange={setOpened} trapFocus returnFocus shadow="md" position="bottom-start">
      <Popover.Target>
        <Button variant={set ? "light" : "default"} fw={400} maw={320} leftSection={<IconBraces size={15} />} justify="flex-start" aria-haspopup="dialog"
          aria-label={set ? `Payload field: ${label}` : "Payload field"} onClick={() => setOpened(!opened)}><span className="cut">{label}</span></Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Payload field">
        <Condition view={view} onChange={onChange} onDone={() => setOpened(false)} payloads={payloads} />
      </Popover.Dropdown>
    </Popover>
  );
}

function Condition({ view, onChange, onDone, payloads }: Pick<Props, "view" | "onChange" | "payloads"> & { onDone: () => void }) {
  const [where, setWhere] = useState(view.where ?? "");
  const [filter, setFilter] = useState(view.filter ?? "");
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => { setWhere(view.where ?? ""); setFilter(view.filter ?? ""); setProblem(null); }, [view.where, view.filter]);
  if (!payloads) return <Alert color="gray" w={320}>Your sign-in has not the right to see payloads, so they cannot be searched.</Alert>;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    try {
      bodyFilter(where, filter);
      onChange({ where: where.trim() || undefined, filter: filter.trim() || undefined });
      onDone();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <Stack component="form" gap="xs" miw={320} maw={460} onSubmit={submit}>
      <TextInput label="A field of the payload" description={WHERE_HELP} placeholder="data.object.id = in_123" ff="monospace" value={where}
        onChange={(change) => setWhere(change.currentTarget.value)} />
      <Textarea label="Or a whole filter" description="The language of endpoint filters: headers, query, body, path, method, event_type." autosize minRows={3} maxRows={10}
        placeholder='{"body": {"commits": {"author": {"name": "ada"}}}}' value={filter} onChange={(change) => setFilter(change.currentTarget.value)} />
      {problem && <Text size="sm" c="var(--mantine-color-error)" role="alert" className="foreign">{problem}</Text>}
      <Group justify="flex-end" gap="xs">
        {(view.where || view.filter) && <Button variant="subtle" onClick={() => { onChange({ where: undefined, filter: undefined }); onDone(); }}>Remove</Button>}
        <Button type="submit">Search</Button>
      </Group>
    </Stack>
  );
}
