import { Button, Group, Select, TextInput } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";

import { STRETCHES, type Stretch } from "../../api/queries/home";
import { isFiltered, type Search } from "./search";
import { GROUPS, spoken } from "./words";

/** Which entries are shown; kept in the URL. */
export function Filters({ view, actions }: { view: Search; actions: string[] }) {
  const navigate = useNavigate({ from: "/audit" });
  const set = (change: Search) => void navigate({ search: (before: Search) => ({ ...before, ...change }), replace: true, resetScroll: false });
  const groups = new Set(GROUPS.map((group) => group.value));
  const known = [...new Set([...actions, ...(view.action ? [view.action] : [])])].filter((action) => !groups.has(action)).sort();
  return (
    <Group gap="xs" role="search" aria-label="Filter the audit log">
      <Select aria-label="Stretch of time" placeholder="All of it" clearable w={120} value={view.range ?? null}
        data={Object.keys(STRETCHES).map((value) => ({ value, label: `Last ${value}` }))}
        onChange={(value) => set({ range: (value as Stretch | null) ?? undefined })} />
      <Select aria-label="Action" placeholder="Every action" clearable searchable w={190} value={view.action ?? null}
        data={[{ group: "Everything about", items: GROUPS }, { group: "Exactly", items: known.map((value) => ({ value, label: spoken(value) })) }]}
        onChange={(value) => set({ action: value ?? undefined })} />
      <Field label="Who" placeholder="Exact name" value={view.by} onDone={(by) => set({ by })} />
      <Field label="What it was done to" placeholder="Id or name" value={view.subject} onDone={(subject) => set({ subject })} />
      {isFiltered(view) && <Button variant="subtle" onClick={() => void navigate({ search: {}, replace: true })}>Show everything</Button>}
    </Group>
  );
}

/** Filters when one is done typing: on Enter, and on leaving the field. */
function Field({ label, placeholder, value, onDone }: { label: string; placeholder: string; value: string | undefined; onDone: (value: string | undefined) => void }) {
  const [text, setText] = useState(value ?? "");
  useEffect(() => setText(value ?? ""), [value]);
  const done = () => { if (text.trim() !== (value ?? "")) onDone(text.trim() || undefined); };
  return (
    <form onSubmit={(event: FormEvent) => { event.preventDefault(); done(); }}>
      <TextInput aria-label={label} placeholder={placeholder} w={150} value={text} onBlur={done} onChange={(change) => setText(change.currentTarget.value)} />
    </form>
  );
}
