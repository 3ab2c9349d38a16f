// Keys with which somebody else's program acts for this application.
import { ActionIcon, Alert, Button, Card, Group, Modal, Stack, Table, Text, TextInput } from "@mantine/core";
import { IconEdit, IconKey, IconTrash } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import {
  type Application, createIntegration, deleteIntegration, type Integration, integrationsQuery, renameIntegration, rotateIntegrationKey,
} from "../../api/queries/applications";
import { useSelf } from "../../api/queries/common";
import { confirm } from "../../parts/Confirm";
import { CopyButton } from "../../parts/CopyButton";
import { Empty } from "../../parts/Empty";
import { notify } from "../../parts/notify";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { useReturnFocus } from "../../parts/useReturnFocus";

interface Shown {
  name: string;
  key: string;
}

export function IntegrationsTab({ application }: { application: Application }) {
  const me = useSelf();
  const may = me.changes && me.payloads;
  const queries = useQueryClient();
  const integrations = useQuery(integrationsQuery(application.id));
  const [naming, setNaming] = useState<Integration | "new" | null>(null);
  const [shown, setShown] = useState<Shown | null>(null);
  const changed = () => queries.invalidateQueries({ queryKey: ["applications", application.id, "integrations"] });
  const rows = integrations.data?.data ?? [];

  const rotate = async (one: Integration, first: boolean) => {
    const yes = first || await confirm({
      title: `New key for ${one.name}?`, confirmLabel: "Make a new key", danger: true, message: "The old key is worthless at once. The program stops working until it has the new one.",
    });
    if (!yes) return;
    try {
      const { key } = await rotateIntegrationKey(application.id, one.id);
      setShown({ name: one.name, key });
    } catch (problem) {
      notify.failed(problem);
    }
  };
  const remove = async (one: Integration) => {
    const yes = await confirm({ title: `Delete ${one.name}?`, confirmLabel: "Delete the integration", danger: true, message: "Its key is worthless from then on." });
    if (!yes) return;
    await deleteIntegration(application.id, one.id).then(() => notify.done("The integration is deleted."), notify.failed);
    await changed();
  };
  const named = async (name: string) => {
    if (naming === "new") {
      const made = await createIntegration(application.id, name);
      await changed();
      await rotate(made, true);
    } else if (naming) {
      await renameIntegration(application.id, naming.id, name);
      await changed();
    }
    setNaming(null);
  };
  const create = may && <Button onClick={() => setNaming("new")}>New integration</Button>;
  return (
    <Stack>
      {shown && (
        <Alert color="yellow" variant="light" title={`The key of ${shown.name} is shown this once`} withCloseButton closeButtonLabel="Hide the key" onClose={() => setShown(null)}>
          <Group gap="xs" wrap="nowrap"><Text className="mono foreign">{shown.key}</Text><CopyButton value={shown.key} label="Copy the key" /></Group>
        </Alert>
      )}
      {integrations.error && <Trouble error={integrations.error} retry={() => void integrations.refetch()} />}
      {integrations.isSuccess && rows.length === 0 && (
        <Empty title="It has no integrations" action={create}>An integration is a key for somebody else's program that manages the endpoints of this application only.</Empty>
      )}
      {rows.length > 0 && (
        <Card>
          <Group justify="flex-end" mb="xs">{create}</Group>
          <Table aria-label="Integrations" layout="fixed">
            <Table.Thead>
              <Table.Tr><Table.Th>Name</Table.Th><Table.Th visibleFrom="sm" w={220}>Made</Table.Th>{may && <Table.Th w={110}><span className="visually-hidden">Actions</span></Table.Th>}</Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.map((one) => (
                <Table.Tr key={one.id}>
                  <Table.Td className="foreign">{one.name}</Table.Td>
                  <Table.Td visibleFrom="sm"><Time at={one.createdAt} quiet /></Table.Td>
                  {may && (
                    <Table.Td>
                      <Group gap={4} wrap="nowrap" justify="flex-end">
                        <ActionIcon variant="subtle" aria-label={`New key for ${one.name}`} onClick={() => void rotate(one, false)}><IconKey size={15} /></ActionIcon>
                        <ActionIcon variant="subtle" aria-label={`Rename ${one.name}`} onClick={() => setNaming(one)}><IconEdit size={15} /></ActionIcon>
                        <ActionIcon variant="subtle" color="red" aria-label={`Delete ${one.name}`} onClick={() => void remove(one)}><IconTrash size={15} /></ActionIcon>
                      </Group>
                    </Table.Td>
                  )}
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Card>
      )}
      {naming && <Naming before={naming === "new" ? "" : naming.name} save={named} close={() => setNaming(null)} />}
    </Stack>
  );
}

function Naming({ before, save, close }: { before: string; save: (name: string) => Promise<void>; close: () => void }) {
  useReturnFocus();
  const [name, setName] = useState(before);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const go = async () => {
    setBusy(true);
    setError(null);
    await save(name.trim()).catch((problem: Error) => setError(problem));
    setBusy(false);
  };
  return (
    <Modal opened onClose={close} title={<Text fw={600} size="md" span>{before === "" ? "New integration" : "Rename the integration"}</Text>}>
      <form onSubmit={(event) => { event.preventDefault(); void go(); }}>
        <Stack>
          <TextInput label="Name" required withAsterisk data-autofocus placeholder="Zapier" value={name} onChange={(event) => setName(event.currentTarget.value)} />
          {error && <Trouble error={error} />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={close}>Cancel</Button>
            <Button type="submit" loading={busy} disabled={name.trim() === ""}>{before === "" ? "Make it and show its key" : "Save"}</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
