// One event type: what it means, its schemas by version, and who gets it.
import { Alert, Button, Card, Group, Menu, Select, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconArchive, IconArchiveOff, IconBook, IconDots, IconTrash } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";

import { useSelf } from "../../api/queries/common";
import { deleteEventType, type EventType, eventTypeQuery, patchEventType, versionsOf } from "../../api/queries/event-types";
import { confirm } from "../../parts/Confirm";
import { notify } from "../../parts/notify";
import { Page, PageSkeleton } from "../../parts/Page";
import { SchemaEditor, type SchemaFinding } from "../../parts/SchemaEditor";
import { Trouble } from "../../parts/Trouble";
import { Marks } from "./index";
import { apart, checkSchema, refusedOf, together } from "./schemas";
import { retryOf, type TypeDraft, TypeFields, typeRules } from "./TypeFields";

/** The page of an event type. */
export function EventTypePage() {
  const { name } = useParams({ from: "/event-types/$name" });
  const type = useQuery(eventTypeQuery(name));
  if (type.error && !type.data) {
    return (
      <Page title={name} crumbs={[{ label: "Event types", to: "/event-types" }]}>
        <Trouble error={type.error} retry={() => void type.refetch()} />
      </Page>
    );
  }
  return type.data ? <Known type={type.data} /> : <PageSkeleton />;
}

function Known({ type }: { type: EventType }) {
  const me = useSelf();
  return (
    <Page title={type.name} aside={<Marks type={type} />} crumbs={[{ label: "Event types", to: "/event-types" }]} lead={<span className="foreign">{type.description}</span>}
      actions={(
        <>
          <Button component="a" href="/api/v1/becket/event-catalogue" target="_blank" rel="noreferrer" variant="default" leftSection={<IconBook size={14} />}>Catalogue</Button>
          {me.changes && <More type={type} />}
        </>
      )}>
      {type.archived && (
        <Alert color="yellow" variant="light" title="Archived"><Text>It keeps its name and its history, but takes no new events. Bring it back to post events of this type.</Text></Alert>
      )}
      <Schemas key={`${type.updatedAt}-schemas`} type={type} may={me.changes} />
      {me.changes && <Details key={type.updatedAt} type={type} />}
    </Page>
  );
}

function useChanged(name: string) {
  const queries = useQueryClient();
  return async () => {
    await Promise.all([queries.invalidateQueries({ queryKey: ["event-types", name] }), queries.invalidateQueries({ queryKey: ["event-types"], exact: true })]);
  };
}

function More({ type }: { type: EventType }) {
  const changed = useChanged(type.name);
  const queries = useQueryClient();
  const navigate = useNavigate();
  const archive = async () => {
    const yes = await confirm({
      title: `Archive ${type.name}?`, confirmLabel: "Archive it",
      message: "No new events of this type are taken; those that were posted stay. It can be brought back at any time.",
    });
    if (!yes) return;
    await deleteEventType(type.name, false).then(() => notify.done("Archived."), notify.failed);
    await changed();
  };
  const restore = async () => {
    await patchEventType(type.name, { archived: false }).then(() => notify.done("It takes events again."), notify.failed);
    await changed();
  };
  const remove = async () => {
    const yes = await confirm({
      title: `Delete ${type.name} for good?`, danger: true, confirmLabel: "Delete the event type",
      message: "Its description and all versions of its schema are gone. Events of this type stay. Archive it if you only want it out of the way.",
    });
    if (!yes) return;
    try {
      await deleteEventType(type.name, true);
      queries.removeQueries({ queryKey: ["event-types", type.name] });
      await navigate({ to: "/event-types" });
      await queries.invalidateQueries({ queryKey: ["event-types"], exact: true });
      notify.done("The event type is deleted.");
    } catch (problem) {
      notify.failed(problem);
    }
  };
  return (
    <Menu position="bottom-end" width={220}>
      <Menu.Target><Button variant="default" px={8} aria-label="More"><IconDots size={16} /></Button></Menu.Target>
      <Menu.Dropdown>
        <Menu.Item renderRoot={(props) => <Link to="/events" search={{ type: type.name }} {...props} />}>Events of this type</Menu.Item>
        {type.archived
          ? <Menu.Item leftSection={<IconArchiveOff size={14} />} onClick={() => void restore()}>Bring it back</Menu.Item>
          : <Menu.Item leftSection={<IconArchive size={14} />} onClick={() => void archive()}>Archive</Menu.Item>}
        <Menu.Item color="red" leftSection={<IconTrash size={14} />} onClick={() => void remove()}>Delete for good</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** The version after the newest: 2 after 1, v3 after v2. */
function nextVersion(versions: string[]): string {
  const newest = versions[0] ?? "0";
  const digits = /\d+$/.exec(newest)?.[0];
  return digits === undefined ? `${newest}-2` : newest.slice(0, -digits.length) + String(Number(digits) + 1);
}

function Schemas({ type, may }: { type: EventType; may: boolean }) {
  const { version } = useSearch({ from: "/event-types/$name" });
  const navigate = useNavigate({ from: "/event-types/$name" });
  const changed = useChanged(type.name);
  const versions = versionsOf(type);
  const current = version !== undefined && versions.includes(version) ? version : (versions[0] ?? "1");
  const stored = apart((type.schemas as Record<string, unknown> | null | undefined)?.[current]);
  const [texts, setTexts] = useState(stored);
  const [asNew, setAsNew] = useState<string | null>(null);
  const [refused, setRefused] = useState<SchemaFinding[]>([]);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const dirty = texts.schema !== stored.schema || texts.example !== stored.example;
  const target = asNew?.trim() ?? current;
  const newest = current === (versions[0] ?? current);
  const change = (part: Partial<typeof texts>) => {
    setTexts((before) => ({ ...before, ...part }));
    setRefused([]);
    setError(null);
  };
  const show = (next: string) => {
    setTexts(apart((type.schemas as Record<string, unknown> | null | undefined)?.[next]));
    setAsNew(null);
    setRefused([]);
    void navigate({ search: { version: next }, replace: true });
  };
  const put = async (schemas: Record<string, unknown>, shown: string | undefined) => {
    setBusy(true);
    setError(null);
    try {
      await patchEventType(type.name, { schemas: (Object.keys(schemas).length > 0 ? schemas : null) as never });
      notify.done("Saved.");
      await navigate({ search: { version: shown }, replace: true });
      await changed();
    } catch (problem) {
      const found = refusedOf(problem, target);
      setRefused(found);
      if (found.length === 0) setError(problem as Error);
    } finally {
      setBusy(false);
    }
  };
  const save = async () => {
    const both = together(texts);
    if ("wrong" in both) return setError(new Error(both.wrong));
    if (!/^[\w.-]{1,64}$/.test(target)) return setError(new Error("Give the version a name, such as 2."));
    const schemas = { ...(type.schemas as Record<string, unknown> | null | undefined) };
    if (both.schema === null) delete schemas[target];
    else schemas[target] = both.schema;
    await put(schemas, both.schema === null ? undefined : target);
  };
  return (
    <Card>
      <Stack>
        <Group justify="space-between" align="end" gap="xs">
          <Text component="h2" fw={600} size="md">Schema</Text>
          <Group gap="xs" align="end">
            {versions.length > 0 && (
              <Select aria-label="Version" value={current} allowDeselect={false} w={150} onChange={(value) => { if (value) show(value); }}
                data={versions.map((one, index) => ({ value: one, label: index === 0 ? `Version ${one} (newest)` : `Version ${one}` }))} />
            )}
            {may && versions.length > 0 && asNew === null && <Button variant="default" onClick={() => setAsNew(nextVersion(versions))}>New version</Button>}
          </Group>
        </Group>
        {asNew !== null && (
          <Group align="end" gap="xs">
            <TextInput label="New version" value={asNew} onChange={(event) => setAsNew(event.currentTarget.value)} w={120} />
            <Text size="xs" c="dimmed" pb={6}>Begins as a copy of version {current}. Payloads are checked against the newest.</Text>
          </Group>
        )}
        {!newest && <Text size="sm" c="dimmed">An older version. Payloads are checked against the newest.</Text>}
        <SchemaEditor value={texts.schema} example={texts.example} readOnly={!may} check={checkSchema} refused={refused}
          onChange={(schema) => change({ schema })} onExample={(example) => change({ example })} />
        {error && <Trouble error={error} />}
        {may && (
          <Group justify="flex-end" gap="xs">
            {(dirty || asNew !== null) && <Button variant="default" onClick={() => { setTexts(stored); setAsNew(null); setRefused([]); setError(null); }}>Undo changes</Button>}
            <Button loading={busy} disabled={!dirty && asNew === null} onClick={() => void save()}>
              {texts.schema.trim() === "" ? "Remove this version" : `Save version ${target}`}
            </Button>
          </Group>
        )}
      </Stack>
    </Card>
  );
}

function draftOf(type: EventType): TypeDraft {
  const { retry } = type;
  return {
    name: type.name, description: type.description, groupName: type.groupName ?? "", featureFlags: type.featureFlags ?? [],
    deprecated: type.deprecated, validatePayloads: type.validatePayloads ?? false,
    retry: Array.isArray(retry) ? "own" : (retry ?? ""), delays: Array.isArray(retry) ? retry.map(String) : [],
  };
}

function Details({ type }: { type: EventType }) {
  const changed = useChanged(type.name);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useForm<TypeDraft>({ mode: "controlled", initialValues: draftOf(type), validate: typeRules });
  const save = form.onSubmit(async (draft) => {
    setBusy(true);
    setError(null);
    try {
      await patchEventType(type.name, {
        description: draft.description.trim(), groupName: draft.groupName.trim() === "" ? null : draft.groupName.trim(),
        featureFlags: draft.featureFlags.length > 0 ? draft.featureFlags : null,
        deprecated: draft.deprecated, validatePayloads: draft.validatePayloads, retry: retryOf(draft),
      });
      notify.done("Saved.");
      await changed();
    } catch (problem) {
      setError(problem as Error);
    } finally {
      setBusy(false);
    }
  });
  return (
    <Card>
      <form onSubmit={save} noValidate>
        <Stack>
          <Text component="h2" fw={600} size="md">Details</Text>
          <TypeFields form={form} named />
          {error && <Trouble error={error} />}
          <Group justify="flex-end"><Button type="submit" loading={busy} disabled={!form.isDirty()}>Save the details</Button></Group>
        </Stack>
      </form>
    </Card>
  );
}
