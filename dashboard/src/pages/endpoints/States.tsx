// Pausing, resuming, enabling and disabling an endpoint, with a reason.
import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay, IconPower } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { type Change, changeState, type Endpoint } from "../../api/queries/endpoints";
import { notify } from "../../parts/notify";
import { Trouble } from "../../parts/Trouble";
import { useReturnFocus } from "../../parts/useReturnFocus";

const WORDS: Record<Change, { label: string; title: string; text: string; done: string }> = {
  pause: {
    label: "Pause", title: "Pause this endpoint", done: "Paused. Deliveries wait.",
    text: "New events are still planned for it and wait; nothing is lost. When you resume, they are delivered.",
  },
  resume: { label: "Resume", title: "Resume this endpoint", done: "Resumed. What waited is being delivered.", text: "" },
  enable: {
    label: "Enable", title: "Enable this endpoint", done: "Enabled.",
    text: "",
  },
  disable: {
    label: "Disable", title: "Disable this endpoint", done: "Disabled. Nothing new is planned for it.",
    text: "Nothing new is planned for it until it is enabled. What came in between can be sent afterwards: Replay, then “Send what is missing”.",
  },
};

/** The changes that make sense in its state. */
function changesOf(endpoint: Endpoint): Change[] {
  switch (endpoint.state) {
    case "enabled": return endpoint.failingSince ? ["enable", "pause", "disable"] : ["pause", "disable"];
    case "paused": return ["resume", "disable"];
    case "disabled": return ["enable"];
    case "removed": return [];
  }
}

const ICONS = { pause: IconPlayerPause, resume: IconPlayerPlay, enable: IconPower, disable: IconPower };

/** Buttons for what can be done with the state of an endpoint. */
export function States({ endpoint, may }: { endpoint: Endpoint; may: boolean }) {
  const queries = useQueryClient();
  const [asking, setAsking] = useState<Change | null>(null);
  const [busy, setBusy] = useState<Change | null>(null);
  const run = async (change: Change, reason: string) => {
    setBusy(change);
    try {
      const now = await changeState(endpoint.id, change, reason);
      queries.setQueryData(["endpoint", endpoint.id], now);
      void queries.invalidateQueries({ queryKey: ["endpoints"] });
      void queries.invalidateQueries({ queryKey: ["endpoint", endpoint.id] });
      notify.done(WORDS[change].done);
      setAsking(null);
    } finally {
      setBusy(null);
    }
  };
  const press = (change: Change) => {
    if (change === "pause" || change === "disable") return setAsking(change);
    run(change, "").catch(notify.failed);
  };
  if (!may) return null;
  return (
    <>
      {changesOf(endpoint).map((change) => {
        const Icon = ICONS[change];
        const failing = change === "enable" && endpoint.state === "enabled";
        const first = change === "resume" || change === "enable";
        return (
          <Button key={change} variant={first && !failing ? "filled" : "default"} leftSection={<Icon size={14} />} loading={busy === change} onClick={() => press(change)}>
            {failing ? "Forget its failures" : WORDS[change].label}
          </Button>
        );
      })}
      {asking && <Ask change={asking} close={() => setAsking(null)} run={run} />}
    </>
  );
}

function Ask({ change, close, run }: { change: Change; close: () => void; run: (change: Change, reason: string) => Promise<void> }) {
  useReturnFocus();
  const [reason, setReason] = useState("");
  const [error, setError] = useState<Error | null>(null);
  const go = () => run(change, reason.trim()).catch((problem: Error) => setError(problem));
  return (
    <Modal opened onClose={close} title={<Text fw={600} size="md" span>{WORDS[change].title}</Text>}>
      <form onSubmit={(event) => { event.preventDefault(); void go(); }}>
        <Stack>
          <Text>{WORDS[change].text}</Text>
          <TextInput label="Reason" description="Shown to whoever wonders why nothing arrives." maxLength={200} data-autofocus value={reason}
            placeholder="Maintenance until 18:00" onChange={(event) => setReason(event.currentTarget.value)} />
          {error && <Trouble error={error} />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={close}>Cancel</Button>
            <Button type="submit">{WORDS[change].label}</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
