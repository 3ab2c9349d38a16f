// The link with which a customer sees the portal, and the end of all sessions.
import { Alert, Button, Card, Checkbox, Group, Select, SimpleGrid, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import { IconExternalLink } from "@tabler/icons-react";
import { useState } from "react";

import { type Application, type Capability, expireSessions, portalLink } from "../../api/queries/applications";
import { useSelf } from "../../api/queries/common";
import { confirm } from "../../parts/Confirm";
import { CopyButton } from "../../parts/CopyButton";
import { notify } from "../../parts/notify";
import { Trouble } from "../../parts/Trouble";

const CAPABILITIES: { value: Capability; label: string; description: string }[] = [
  { value: "ViewBase", label: "Look", description: "Sees its endpoints, events and attempts." },
  { value: "ManageEndpoint", label: "Manage endpoints", description: "Adds, changes, pauses and deletes endpoints." },
  { value: "ViewEndpointSecret", label: "See secrets", description: "Shows the signing secrets of its endpoints." },
  { value: "ManageEndpointSecret", label: "Rotate secrets", description: "Puts new signing secrets in place." },
  { value: "ManageTransformations", label: "Write transformations", description: "Changes deliveries by code of its own." },
  { value: "CreateAttempts", label: "Replay and test", description: "Sends events again, and test events." },
];
const EXPIRIES = [
  { value: "3600", label: "1 hour" }, { value: "28800", label: "8 hours" }, { value: "86400", label: "1 day" }, { value: "604800", label: "7 days" },
];

export function PortalTab({ application }: { application: Application }) {
  const me = useSelf();
  if (!me.changes || !me.payloads) {
    return <Alert color="blue" variant="light" title="Not for your role"><Text>A portal link lets somebody see and change what this application is sent. Ask an admin for one.</Text></Alert>;
  }
  return (
    <Stack>
      <NewLink application={application} />
      <Sessions application={application} />
    </Stack>
  );
}

function NewLink({ application }: { application: Application }) {
  const [chosen, setChosen] = useState<string[]>(CAPABILITIES.map((one) => one.value));
  const [expiry, setExpiry] = useState("86400");
  const [session, setSession] = useState("");
  const [flags, setFlags] = useState<string[]>([]);
  const [url, setUrl] = useState<string | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const make = async () => {
    setBusy(true);
    setError(null);
    setUrl(null);
    try {
      const made = await portalLink(application.id, {
        expiry: Number(expiry), capabilities: chosen as Capability[],
        ...(session.trim() !== "" && { sessionId: session.trim() }), ...(flags.length > 0 && { featureFlags: flags }),
      });
      setUrl(made.url);
    } catch (problem) {
      setError(problem as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card>
      <Stack>
        <div>
          <Text component="h2" fw={600} size="md">Portal link</Text>
          <Text c="dimmed">With it the customer sees and manages this application only. Your product makes such links by the API; here you make one by hand.</Text>
        </div>
        <Checkbox.Group label="What it allows" value={chosen} onChange={setChosen}>
          <SimpleGrid cols={{ base: 1, sm: 2, md: 3 }} spacing="xs" mt={6}>
            {CAPABILITIES.map((one) => (
              <Checkbox key={one.value} value={one.value} label={one.label} description={one.description} disabled={one.value === "ViewBase"} />
            ))}
          </SimpleGrid>
        </Checkbox.Group>
        <Group align="start" gap="sm">
          <Select label="Expires after" data={EXPIRIES} value={expiry} allowDeselect={false} onChange={(value) => setExpiry(value ?? "86400")} w={150} />
          <TextInput label="Session id" placeholder="user-7" value={session} onChange={(event) => setSession(event.currentTarget.value)} flex={1} miw={160}
            description="To end this one session later" inputWrapperOrder={["label", "input", "description"]} />
          <TagsInput label="Feature flags" placeholder="Enter adds one" value={flags} onChange={setFlags} flex={1} miw={160}
            description="Event types with these flags are shown too" inputWrapperOrder={["label", "input", "description"]} />
        </Group>
        {error && <Trouble error={error} />}
        {url && (
          <Alert color="yellow" variant="light" title="This link is a secret">
            <Stack gap="xs">
              <Text>Whoever opens it first is in. It can be opened once and within an hour; the session then lasts as long as you chose. It is not shown again.</Text>
              <Text className="mono foreign" data-testid="portal-link">{url}</Text>
              <Group gap="xs">
                <CopyButton value={url} label="Copy the link" text />
                <Button component="a" href={url} target="_blank" rel="noreferrer" variant="default" leftSection={<IconExternalLink size={14} />}>Open the portal</Button>
              </Group>
            </Stack>
          </Alert>
        )}
        <Group justify="flex-end"><Button loading={busy} onClick={() => void make()}>{url ? "Make another link" : "Make a link"}</Button></Group>
      </Stack>
    </Card>
  );
}

function Sessions({ application }: { application: Application }) {
  const [ids, setIds] = useState<string[]>([]);
  const [busy, setBusy] = useState(false);
  const end = async () => {
    const yes = await confirm({
      title: ids.length > 0 ? "End these sessions?" : "End all portal sessions?", danger: true, confirmLabel: "End the sessions",
      message: ids.length > 0 ? `Portal sessions with the id ${ids.join(", ")} end at once.` : `Everybody who has the portal of ${application.name} open is out at once, and links that were not opened yet are worthless.`,
    });
    if (!yes) return;
    setBusy(true);
    try {
      await expireSessions(application.id, ids);
      notify.done("The sessions are ended.");
      setIds([]);
    } catch (problem) {
      notify.failed(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card>
      <Stack>
        <div>
          <Text component="h2" fw={600} size="md">End sessions</Text>
          <Text c="dimmed">When a link went to the wrong person, or somebody has left.</Text>
        </div>
        <TagsInput label="Session ids" placeholder="All sessions" value={ids} onChange={setIds} description="Leave it empty to end all of them." />
        <Group justify="flex-end">
          <Button color="red" variant="outline" loading={busy} onClick={() => void end()}>{ids.length > 0 ? "End these sessions" : "End all sessions"}</Button>
        </Group>
      </Stack>
    </Card>
  );
}
