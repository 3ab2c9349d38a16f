import { Button, Group, List, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { backUp, nodesQuery, reload } from "../../api/queries/home";
import { confirm } from "../../parts/Confirm";
import { bytes } from "../../parts/format";
import { notify } from "../../parts/notify";
import { Trouble } from "../../parts/Trouble";
import { Section } from "./Section";

/** What the operator does with a running gateway. */
export function Operation() {
  return (
    <Section title="Operation" lead="For who runs the gateway. Both can be done while events come in.">
      <Stack gap="lg"><Backup /><Reload /></Stack>
    </Section>
  );
}

function Backup() {
  const [folder, setFolder] = useState("");
  const backup = useMutation({ mutationFn: backUp });
  const nodes = useQuery(nodesQuery);
  if (nodes.data?.store === "postgres") {
    return (
      <div>
        <Title order={3} size="h4">Backup</Title>
        <Text c="dimmed">The store is a PostgreSQL database: use <span className="mono">pg_dump</span>, or <span className="mono">pg_basebackup</span> with an archive of the log. Keep the master key apart.</Text>
      </div>
    );
  }
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (folder.trim() !== "") backup.mutate(folder.trim());
  };
  return (
    <form onSubmit={submit}>
      <Title order={3} size="h4">Backup</Title>
      <Text c="dimmed" mb="xs">Writes a copy of the whole store into a new folder on the gateway's own host.</Text>
      <Group gap="xs" align="end">
        <TextInput label="Folder" placeholder="/var/backups/becket/today" description="An absolute path that does not exist yet." w={340} maw="100%"
          value={folder} onChange={(change) => setFolder(change.currentTarget.value)} />
        <Button type="submit" variant="default" loading={backup.isPending} disabled={folder.trim() === ""}>Back up</Button>
      </Group>
      <Stack gap="xs" mt="xs" aria-live="polite">
        {backup.error && <Trouble error={backup.error} />}
        {backup.data && <Text>{bytes(backup.data.bytes)} are in <span className="mono foreign">{backup.data.folder}</span>. Keep the master key elsewhere: secrets cannot be read without it.</Text>}
      </Stack>
    </form>
  );
}

function Reload() {
  const again = useMutation({ mutationFn: reload, onSuccess: () => notify.done("The configuration is read and applied.") });
  const press = async () => {
    if (await confirm({
      title: "Read the configuration again?",
      message: "What has changed in the file is applied at once: sources and endpoints that are gone from it stop. If something in it is wrong, nothing changes and you are told what.",
      confirmLabel: "Read it again",
    })) again.mutate();
  };
  return (
    <div>
      <Title order={3} size="h4">Configuration</Title>
      <Group justify="space-between" gap="xs">
        <Text c="dimmed">Reads the file again. The gateway also does so by itself when the file changes.</Text>
        <Button variant="default" loading={again.isPending} onClick={() => void press()}>Read again</Button>
      </Group>
      <Stack gap="xs" mt="xs" aria-live="polite">
        {again.error && <Trouble error={again.error} />}
        {again.data && again.data.warnings.length > 0 && (
          <List size="sm">{again.data.warnings.map((warning) => <List.Item key={warning} className="foreign">{warning}</List.Item>)}</List>
        )}
      </Stack>
    </div>
  );
}
