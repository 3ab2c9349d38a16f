// Views with a name. A view is its URL; only the names are kept, in this browser.
import { Button, Group, Menu, Modal, Stack, Text, TextInput } from "@mantine/core";
import { IconBookmark, IconLink, IconTrash } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";

import { copy } from "../../parts/copy";
import { notify } from "../../parts/notify";
import { type EventsSearch, isFiltered, search } from "./search";

const KEY = "becket.views.events";

interface View {
  name: string;
  search: EventsSearch;
}

const READY: View[] = [
  { name: "Failed in the last day", search: { status: "failed", range: "24h" } },
  { name: "Not verified", search: { verdict: "unverified" } },
  { name: "Still pending", search: { status: "pending" } },
];

function read(): View[] {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]") as { name?: unknown; search?: unknown }[];
    return kept
      .filter((one) => typeof one.name === "string")
      .map((one) => ({ name: String(one.name), search: search((one.search ?? {}) as Record<string, unknown>) }));
  } catch {
    // Somebody else wrote there, or storage is switched off: then there are no names.
    return [];
  }
}

export function Views({ view }: { view: EventsSearch }) {
  const navigate = useNavigate();
  const [kept, setKept] = useState(read);
  const [naming, setNaming] = useState(false);
  const [name, setName] = useState("");
  const write = (next: View[]) => {
    setKept(next);
    try {
      localStorage.setItem(KEY, JSON.stringify(next));
    } catch {
      notify.failed(new Error("This browser does not let the page keep names. Copy the link instead."));
    }
  };
  const show = (one: View) => void navigate({ to: "/events", search: one.search });
  const save = (event: FormEvent) => {
    event.preventDefault();
    write([...kept.filter((one) => one.name !== name.trim()), { name: name.trim(), search: view }].sort((one, other) => one.name.localeCompare(other.name)));
    setNaming(false);
    notify.done(`The view "${name.trim()}" is in the menu.`);
  };
  return (
    <>
      <Menu position="bottom-end" width={280} shadow="md">
        <Menu.Target><Button variant="default" leftSection={<IconBookmark size={15} />}>Views</Button></Menu.Target>
        <Menu.Dropdown>
          {kept.length > 0 && <Menu.Label>Saved in this browser</Menu.Label>}
          {kept.map((one) => (
            <Group key={one.name} gap={2} wrap="nowrap" role="none">
              <Menu.Item flex={1} onClick={() => show(one)}><span className="foreign">{one.name}</span></Menu.Item>
              <Menu.Item w="auto" aria-label={`Forget the view ${one.name}`} closeMenuOnClick={false} onClick={() => write(kept.filter((other) => other !== one))}>
                <IconTrash size={14} />
              </Menu.Item>
            </Group>
          ))}
          <Menu.Label>Often looked at</Menu.Label>
          {READY.map((one) => <Menu.Item key={one.name} onClick={() => show(one)}>{one.name}</Menu.Item>)}
          <Menu.Divider />
          <Menu.Item disabled={!isFiltered(view)} leftSection={<IconBookmark size={14} />} onClick={() => { setName(""); setNaming(true); }}>Save this view…</Menu.Item>
          <Menu.Item leftSection={<IconLink size={14} />} onClick={() => void copy(window.location.href).then((done) => done && notify.done("The link to this view is copied."))}>Copy its link</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Modal opened={naming} onClose={() => setNaming(false)} title="Save this view" size="sm">
        <Stack component="form" onSubmit={save}>
          <TextInput label="Name" required maxLength={60} data-autofocus value={name} onChange={(change) => setName(change.currentTarget.value)} />
          <Text size="xs" c="dimmed">The view is its address: send the link to somebody and they see the same. The name stays in this browser.</Text>
          <Group justify="flex-end"><Button variant="default" onClick={() => setNaming(false)}>Cancel</Button><Button type="submit" disabled={!name.trim()}>Save</Button></Group>
        </Stack>
      </Modal>
    </>
  );
}

