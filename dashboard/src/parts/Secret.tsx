// A secret that stays hidden until somebody asks for it, and is replaced with an overlap.
import { ActionIcon, Alert, Button, Code, Group, Modal, Select, Stack, Text, TextInput, Tooltip } from "@mantine/core";
import { IconEye, IconEyeOff, IconRefresh } from "@tabler/icons-react";
import { useEffect, useState } from "react";

import { CopyButton } from "./CopyButton";
import { Trouble } from "./Trouble";

/** After so long a secret that is shown is hidden again, in milliseconds. */
const SHOWN_MS = 120_000;

const OVERLAPS = [
  { value: "0", label: "No overlap: the old secret stops at once" },
  { value: "3600", label: "1 hour" },
  { value: "86400", label: "24 hours" },
  { value: "259200", label: "3 days" },
  { value: "604800", label: "7 days" },
];

export interface SecretProps {
  /** What it is, such as "Signing secret". */
  label: string;
  /** Asks for the secret; without it, it cannot be seen. */
  show?: (() => Promise<string>) | undefined;
  /** Puts a new secret in place and answers with it; the old one goes on for so many seconds. */
  rotate?: ((graceSeconds: number, key?: string) => Promise<string>) | undefined;
  /** Whether a secret of one's own may be given. */
  ownKey?: boolean;
  /** Why it cannot be seen or rotated. */
  why?: string | undefined;
  /** Whether the audit log notes who looks. */
  audited?: boolean;
}

/** Hidden until it is asked for; hides itself again. */
export function Secret({ label, show, rotate, ownKey = true, why, audited = true }: SecretProps) {
  const [secret, setSecret] = useState<string | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const [rotating, setRotating] = useState(false);

  useEffect(() => {
    if (secret === null) return undefined;
    const timer = setTimeout(() => setSecret(null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [secret]);

  const reveal = async () => {
    if (!show) return;
    setBusy(true);
    setError(null);
    try {
      setSecret(await show());
    } catch (problem) {
      setError(problem as Error);
    } finally {
      setBusy(false);
    }
  };

  return (
    <Stack gap="xs">
      <Group justify="space-between" align="center" wrap="wrap" gap="xs">
        <Text component="h2" fw={600} size="md">{label}</Text>
        <Group gap="xs">
          {rotate && (
            <Button size="xs" variant="default" leftSection={<IconRefresh size={14} />} onClick={() => setRotating(true)}>
              Rotate
            </Button>
          )}
        </Group>
      </Group>
      <Group gap="xs" wrap="nowrap" align="center">
        <Code className="foreign" flex={1} py={6} px="sm" fz="sm" aria-label={secret === null ? `${label}, hidden` : label}>
          {secret ?? "••••••••••••••••••••••••"}
        </Code>
        {secret !== null && <CopyButton value={secret} label={`Copy the ${label.toLowerCase()}`} />}
        {show && (
          <Tooltip label={secret === null ? "Show" : "Hide"}>
            <ActionIcon variant="default" size="lg" loading={busy} onClick={secret === null ? reveal : () => setSecret(null)}
              aria-label={`${secret === null ? "Show" : "Hide"} the ${label.toLowerCase()}`}>
              {secret === null ? <IconEye size={16} /> : <IconEyeOff size={16} />}
            </ActionIcon>
          </Tooltip>
        )}
      </Group>
      {error && <Trouble error={error} />}
      {why && <Text size="xs" c="dimmed">{why}</Text>}
      {show && audited && (
        <Text size="xs" c="dimmed">Showing it is noted in the audit log. It hides itself again after two minutes.</Text>
      )}
      {rotate && (
        <Rotation opened={rotating} label={label} ownKey={ownKey} rotate={rotate}
          close={() => setRotating(false)} done={setSecret} />
      )}
    </Stack>
  );
}

interface RotationProps {
  opened: boolean;
  label: string;
  ownKey: boolean;
  rotate: NonNullable<SecretProps["rotate"]>;
  close: () => void;
  done: (secret: string) => void;
}

function Rotation({ opened, label, ownKey, rotate, close, done }: RotationProps) {
  const [grace, setGrace] = useState("86400");
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const go = async () => {
    setBusy(true);
    setError(null);
    try {
      done(await rotate(Number(grace), key === "" ? undefined : key));
      setKey("");
      close();
    } catch (problem) {
      setError(problem as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal opened={opened} onClose={close} title={`Rotate the ${label.toLowerCase()}`} centered
      closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        <Text size="sm">
          A new secret signs from now on. While both are valid, every delivery carries both signatures, so the
          receiver can change over without losing anything.
        </Text>
        <Select label="The old secret stays valid for" data={OVERLAPS} value={grace} allowDeselect={false}
          onChange={(value) => setGrace(value ?? "86400")} />
        {ownKey && (
          <TextInput label="New secret" description="Leave it empty and the gateway makes one." placeholder="whsec_…"
            value={key} onChange={(event) => setKey(event.currentTarget.value)} autoComplete="off" spellCheck={false} />
        )}
        {grace === "0" && (
          <Alert color="orange" variant="light" title="Without an overlap">
            <Text size="sm">A receiver that still has the old secret refuses deliveries until it gets the new one.</Text>
          </Alert>
        )}
        {error && <Trouble error={error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>Cancel</Button>
          <Button onClick={go} loading={busy}>Rotate</Button>
        </Group>
      </Stack>
    </Modal>
  );
}
