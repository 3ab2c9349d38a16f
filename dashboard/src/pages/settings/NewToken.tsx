import { Alert, Button, Checkbox, Group, Modal, Radio, Select, Stack, Text, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { makeToken, tokensQuery, type TokenWanted } from "../../api/queries/home";
import { CodeBlock } from "../../parts/CodeBlock";
import { Trouble } from "../../parts/Trouble";
import { useReturnFocus } from "../../parts/useReturnFocus";
import { EXPIRIES, ROLES } from "./roles";

const SEES: Record<TokenWanted["role"], string> = {
  admin: "Admins always do.",
  developer: "Bodies, values of headers and responses, and searches in them. Without it a developer cannot say where events go either.",
  viewer: "Bodies, values of headers and responses, and searches in them.",
};

/** Makes a token, and shows its text this once. */
export function NewToken({ onClose }: { onClose: () => void }) {
  useReturnFocus();
  const [made, setMade] = useState<{ name: string; token: string } | null>(null);
  return (
    <Modal opened onClose={onClose} closeOnClickOutside={made === null} closeOnEscape={made === null}
      title={<Text fw={600} size="md" span>{made ? "Copy the token now" : "New token"}</Text>}>
      {made ? <Shown {...made} onClose={onClose} /> : <Form onMade={setMade} onClose={onClose} />}
    </Modal>
  );
}

function Shown({ name, token, onClose }: { name: string; token: string; onClose: () => void }) {
  return (
    <Stack>
      <Alert color="yellow" variant="light">This is the only time that the text of <b className="foreign">{name}</b> is shown. Put it where you keep secrets.</Alert>
      <CodeBlock text={token} copyLabel="Copy the token" wrap />
      <Group justify="flex-end"><Button onClick={onClose}>I have kept it</Button></Group>
    </Stack>
  );
}

function Form({ onMade, onClose }: { onMade: (made: { name: string; token: string }) => void; onClose: () => void }) {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [role, setRole] = useState<TokenWanted["role"]>("viewer");
  const [payloads, setPayloads] = useState(false);
  const [expiry, setExpiry] = useState("90d");
  const [flaw, setFlaw] = useState<string | null>(null);
  const [trouble, setTrouble] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);

  async function submit(event: FormEvent) {
    event.preventDefault();
    if (name.trim() === "") { setFlaw("Say whose token it is."); return; }
    setBusy(true);
    setTrouble(null);
    try {
      const seconds = EXPIRIES.find((one) => one.value === expiry)?.seconds ?? null;
      const token = await makeToken({ name: name.trim(), role, payloads, expiry: seconds });
      onMade({ name: token.name, token: token.token });
      await queries.invalidateQueries({ queryKey: tokensQuery.queryKey });
    } catch (error) {
      setTrouble(error);
      setBusy(false);
    }
  }
  return (
    <form onSubmit={(event) => void submit(event)} noValidate>
      <Stack>
        <TextInput data-autofocus label="Name" description="The person or program that gets it." placeholder="Ada, on call" maxLength={200}
          value={name} error={flaw} onChange={(change) => { setName(change.currentTarget.value); setFlaw(null); }} />
        <Radio.Group label="Role" value={role} onChange={(value) => setRole(value as TokenWanted["role"])}>
          <Stack gap={8} mt={4}>{ROLES.map((one) => <Radio key={one.value} value={one.value} label={one.label} description={one.may} />)}</Stack>
        </Radio.Group>
        <Checkbox label="Sees payloads" description={SEES[role]}
          checked={payloads || role === "admin"} disabled={role === "admin"} onChange={(change) => setPayloads(change.currentTarget.checked)} />
        <Select label="Holds" value={expiry} allowDeselect={false} data={EXPIRIES.map(({ value, label }) => ({ value, label }))} onChange={(value) => setExpiry(value ?? "90d")} />
        {trouble !== null && <Trouble error={trouble} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>Cancel</Button>
          <Button type="submit" loading={busy}>Make the token</Button>
        </Group>
      </Stack>
    </form>
  );
}
