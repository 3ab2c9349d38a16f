// Event types from the webhooks of an OpenAPI document: first shown what would be, then done.
import { Alert, Button, FileButton, Group, Modal, Stack, Switch, Table, Text, Textarea } from "@mantine/core";
import { IconUpload } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import type { components } from "../../api/generated/schema";
import { eventTypesQuery, importOpenApi } from "../../api/queries/event-types";
import { counted } from "../../parts/format";
import { notify } from "../../parts/notify";
import { Trouble } from "../../parts/Trouble";
import { useReturnFocus } from "../../parts/useReturnFocus";

type Planned = components["schemas"]["EventTypeFromOpenApi"];

export function ImportDialog({ close }: { close: () => void }) {
  useReturnFocus();
  const queries = useQueryClient();
  const types = useQuery(eventTypesQuery);
  const [text, setText] = useState("");
  const [replaceAll, setReplaceAll] = useState(false);
  const [planned, setPlanned] = useState<Planned[] | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const change = (next: string) => {
    setText(next);
    setPlanned(null);
    setError(null);
  };
  const run = async (dryRun: boolean) => {
    setBusy(true);
    setError(null);
    try {
      const { data } = await importOpenApi(text, { dryRun, replaceAll });
      if (dryRun) return setPlanned(data.to_modify ?? []);
      await queries.invalidateQueries({ queryKey: ["event-types"] });
      notify.done(`${counted(data.modified.length, "event type")} imported.`);
      close();
    } catch (problem) {
      setError(problem as Error);
    } finally {
      setBusy(false);
    }
  };
  const known = new Map((types.data ?? []).map((type) => [type.name, type]));
  return (
    <Modal opened onClose={close} size="xl" title={<Text fw={600} size="md" span>Import from OpenAPI</Text>}>
      <Stack>
        <Text c="dimmed">Every webhook of an OpenAPI 3.0 or 3.1 document (JSON or YAML; <code>webhooks</code> or <code>x-webhooks</code>) becomes an event type with its schema.</Text>
        <Group gap="xs">
          <FileButton accept=".json,.yaml,.yml,application/json,text/yaml" onChange={(file) => { if (file) void file.text().then(change); }}>
            {(props) => <Button {...props} variant="default" leftSection={<IconUpload size={14} />}>Choose a file</Button>}
          </FileButton>
          <Text size="xs" c="dimmed">or paste it here</Text>
        </Group>
        <Textarea label="OpenAPI document" classNames={{ input: "mono" }} autosize minRows={8} maxRows={16} spellCheck={false} value={text}
          placeholder={"openapi: 3.1.0\nwebhooks:\n  invoice.paid:\n    post: …"} onChange={(event) => change(event.currentTarget.value)} />
        <Switch label="Archive event types that the document does not name" checked={replaceAll}
          onChange={(event) => { setReplaceAll(event.currentTarget.checked); setPlanned(null); }} />
        {error && <Trouble error={error} />}
        {planned && <Plan planned={planned} known={known} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close}>Cancel</Button>
          {planned && planned.length > 0
            ? <Button loading={busy} onClick={() => void run(false)}>Import {counted(planned.length, "event type")}</Button>
            : <Button loading={busy} disabled={text.trim() === ""} onClick={() => void run(true)}>Show what would change</Button>}
        </Group>
      </Stack>
    </Modal>
  );
}

function Plan({ planned, known }: { planned: Planned[]; known: Map<string, { archived?: boolean }> }) {
  if (planned.length === 0) return <Alert color="yellow" variant="light" title="Nothing to import" role="status"><Text>The document has no webhooks.</Text></Alert>;
  const word = (name: string) => (!known.has(name) ? "new" : known.get(name)?.archived ? "brought back" : "changed");
  return (
    <div role="status">
      <Text fw={500} mb={4}>{counted(planned.length, "event type")} would be made or changed</Text>
      <Table.ScrollContainer minWidth={360} maxHeight={260}>
        <Table aria-label="What would change" stickyHeader>
          <Table.Thead><Table.Tr><Table.Th>Name</Table.Th><Table.Th>Description</Table.Th><Table.Th w={110}>What</Table.Th></Table.Tr></Table.Thead>
          <Table.Tbody>
            {planned.map((one) => (
              <Table.Tr key={one.name}>
                <Table.Td className="mono foreign">{one.name}</Table.Td>
                <Table.Td className="foreign">{one.description}</Table.Td>
                <Table.Td>{word(one.name)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </div>
  );
}
