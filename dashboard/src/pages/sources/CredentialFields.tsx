// The fields for what a provider's signature is verified with. What is typed stays in this page's
// memory until it is sent, and is never shown again.
import { Button, Group, PasswordInput, Stack, Textarea, TextInput } from "@mantine/core";
import { useState } from "react";

import type { Credential, Credentials, ProviderDetails } from "../../api/queries/sources";

/** What stands in the fields, by the name of each credential. */
export type Typed = Record<string, string>;

/** What was typed, as the gateway takes it; empty fields are left out. */
export function credentialsOf(provider: ProviderDetails, typed: Typed): Credentials {
  const out: Credentials = {};
  const named: Record<string, string> = {};
  const parameters: Record<string, string> = {};
  for (const credential of provider.credentials) {
    const value = typed[credential.name] ?? "";
    if (value === "") continue;
    if (credential.kind === "secret") out.secrets = [...(out.secrets ?? []), value];
    else if (credential.kind === "public_key") out.publicKey = value;
    else named[credential.name] = value;
  }
  for (const name of Object.keys(provider.parameters)) {
    const value = typed[`parameter:${name}`] ?? "";
    if (value !== "") parameters[name] = value;
  }
  if (Object.keys(named).length > 0) out.credentials = named;
  if (Object.keys(parameters).length > 0) out.parameters = parameters;
  return out;
}

/** The credentials that have to be there before anything verifies, and are not typed yet. */
export const lacking = (provider: ProviderDetails, typed: Typed): Credential[] =>
  provider.credentials.filter((credential) => !credential.optional && !typed[credential.name]);

interface Props {
  provider: ProviderDetails;
  typed: Typed;
  onTyped: (typed: Typed) => void;
  withParameters?: boolean;
  autoFocus?: boolean;
}

export function CredentialFields({ provider, typed, onTyped, withParameters = false, autoFocus = false }: Props) {
  const set = (name: string, value: string) => onTyped({ ...typed, [name]: value });
  const parameters = Object.entries(provider.parameters);
  const [shown, setShown] = useState(Object.keys(typed).some((name) => name.startsWith("parameter:")));
  return (
    <Stack gap="sm">
      {provider.credentials.map((credential, index) => (
        <Field key={credential.name} credential={credential} value={typed[credential.name] ?? ""}
          autoFocus={autoFocus && index === 0} onValue={(value) => set(credential.name, value)} />
      ))}
      {withParameters && parameters.length > 0 && (
        <Group>
          <Button variant="default" size="xs" aria-expanded={shown} onClick={() => setShown(!shown)}>
            {shown ? "Hide" : "How this sender signs"} ({parameters.length} settings)
          </Button>
        </Group>
      )}
      {withParameters && shown && parameters.map(([name, says]) => (
        <TextInput key={name} size="sm" label={name} description={says} autoComplete="off" spellCheck={false}
          value={typed[`parameter:${name}`] ?? ""} onChange={(change) => set(`parameter:${name}`, change.currentTarget.value)} />
      ))}
    </Stack>
  );
}

interface FieldProps { credential: Credential; value: string; autoFocus: boolean; onValue: (value: string) => void }

const OPEN = /^(email|audience|username|domain|endpoint|topic|topic_arn|webhook_id|subscription_id|client_id|user_id|app_id|app_key|workspace_id|merchant|vault)$/;

function Field({ credential, value, autoFocus, onValue }: FieldProps) {
  const spaced = value !== value.trim();
  const common = {
    label: credential.optional ? `${credential.label} (if there is one)` : credential.label,
    description: spaced ? "There are spaces or line ends around it. They are part of it unless you take them away." : undefined,
    autoComplete: "off",
    spellCheck: false,
    autoFocus,
    value,
  };
  if (credential.kind === "public_key") {
    return <Textarea {...common} autosize minRows={2} maxRows={8} classNames={{ input: "mono" }}
      placeholder="PEM, base64 or hexadecimal DER, or JWK" onChange={(change) => onValue(change.currentTarget.value)} />;
  }
  if (credential.kind === "named" && OPEN.test(credential.name)) {
    return <TextInput {...common} onChange={(change) => onValue(change.currentTarget.value)} />;
  }
  return <PasswordInput {...common} autoComplete="new-password" data-1p-ignore
    visibilityToggleButtonProps={{ "aria-label": `Show or hide: ${credential.label}`, tabIndex: 0 }}
    onChange={(change) => onValue(change.currentTarget.value)} />;
}
