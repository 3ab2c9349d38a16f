// Secrets that a provider's handshake brought along. They are asked for by a button: showing them is
// noted in the audit log.
import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { IconKey } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { type Source, acceptCaptured, capturedQuery, forgetCaptured } from "../../api/queries/sources";
import { useSelf } from "../../api/queries/common";
import { confirm } from "../../parts/Confirm";
import { State } from "../../parts/State";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { notify } from "../../parts/notify";

/** Whether a handshake brought a secret along that nobody has accepted yet. */
export const secretWaits = (source: Source): boolean =>
  source.warnings.some((warning) => warning.startsWith("a handshake brought a secret"));

export function CapturedSecrets({ source }: { source: Source }) {
  const me = useSelf();
  const queries = useQueryClient();
  const [shown, setShown] = useState(false);
  const captured = useQuery({ ...capturedQuery(source.id), enabled: shown });
  const again = () => {
    void queries.invalidateQueries({ queryKey: ["sources"] });
  };
  const accept = useMutation({
    mutationFn: (value: string) => acceptCaptured(source.id, value),
    onSuccess: () => { notify.done("The secret verifies from now on."); again(); },
    onError: (error) => notify.failed(error),
  });
  const forget = useMutation({
    mutationFn: () => forgetCaptured(source.id),
    onSuccess: () => { notify.done("What handshakes brought is forgotten."); again(); },
    onError: (error) => notify.failed(error),
  });
  async function askForget() {
    const yes = await confirm({
      title: "Forget what handshakes brought?", confirmLabel: "Forget the secrets", danger: true,
      message: "Requests that are signed with them are refused from then on. The provider has to repeat its handshake.",
    });
    if (yes) forget.mutate();
  }
  const waits = secretWaits(source);
  return (
    <Alert color={waits ? "yellow" : "gray"} variant="light" icon={<IconKey size={20} />} role={waits ? "alert" : undefined}
      title={waits ? "A handshake brought a secret along" : "Secrets from handshakes"}>
      <Stack gap="sm">
        <Text size="sm">
          {waits
            ? "Whoever knows the URL could have sent it, so it verifies nothing yet. Show it, compare it with what the provider shows, and accept it if you have just set this up there."
            : "What a provider's handshake has brought along, if there is anything."}
        </Text>
        {captured.error && <Trouble error={captured.error} />}
        {captured.data?.length === 0 && <Text size="sm" c="dimmed">None.</Text>}
        {captured.data?.map((secret) => (
          <Group key={secret.value} gap="sm">
            <span className="mono foreign">{secret.value}</span>
            <State state={secret.accepted ? "accepted" : "waits"} tone={secret.accepted ? "good" : "warn"} />
            <Text size="xs" c="dimmed"><Time at={secret.receivedAt} /></Text>
            {!secret.accepted && <Button variant="default" loading={accept.isPending} onClick={() => accept.mutate(secret.value)}>Accept it</Button>}
          </Group>
        ))}
        {me.changes && (
          <Group gap="xs">
            {!shown && <Button variant="default" onClick={() => setShown(true)}>Show it</Button>}
            {(waits || (captured.data?.length ?? 0) > 0) && <Button variant="default" loading={forget.isPending} onClick={() => void askForget()}>Forget it</Button>}
          </Group>
        )}
      </Stack>
    </Alert>
  );
}
