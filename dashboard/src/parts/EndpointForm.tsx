// The form of an endpoint, for the dashboard and the portal: props decide what may be edited.
import { Alert, Button, Group, MultiSelect, NumberInput, PasswordInput, Stack, Switch, TagsInput, Text, Textarea, TextInput } from "@mantine/core";
import { useForm, type UseFormReturnType } from "@mantine/form";
import { useState } from "react";

import { ApiProblem } from "../api/client";
import "./EndpointForm.css";
import { Trouble } from "./Trouble";

/** What the form knows of an endpoint; null means: all, or no limit. */
export interface EndpointValues {
  url: string;
  description: string;
  uid: string | null;
  eventTypes: string[] | null;
  channels: string[] | null;
  throttleRate: number | null;
  metadata: Record<string, string>;
  allowPrivate: boolean;
  disabled: boolean;
  /** Only when one is made; the gateway makes one if it is null. */
  secret: string | null;
}

/** An event type that can be chosen. */
export interface TypeChoice {
  name: string;
  description?: string | undefined;
  groupName?: string | null | undefined;
  deprecated?: boolean | undefined;
}

export type EndpointField = keyof EndpointValues;

export interface EndpointFormProps {
  /** What is there; absent for a new endpoint. */
  values?: Partial<EndpointValues>;
  /** The event types to choose from. */
  types: TypeChoice[];
  /** Whether names that are not among `types` may be given too, as sources allow. */
  freeTypes?: boolean;
  /** The fields that are shown; all if absent. */
  fields?: readonly EndpointField[];
  /** Why nothing can be changed; the form is then only to be read. */
  locked?: string | undefined;
  submitLabel?: string;
  onSubmit: (values: EndpointValues) => Promise<unknown>;
  cancel?: (() => void) | undefined;
}

const ALL: readonly EndpointField[] = [
  "url", "description", "uid", "eventTypes", "channels", "throttleRate", "metadata", "allowPrivate", "disabled", "secret",
];
const RATE_MAX = 65_535;

interface Draft {
  url: string;
  description: string;
  uid: string;
  eventTypes: string[];
  channels: string[];
  throttleRate: number | "";
  metadata: string;
  allowPrivate: boolean;
  disabled: boolean;
  secret: string;
}

function draftOf(values: Partial<EndpointValues>): Draft {
  return {
    url: values.url ?? "",
    description: values.description ?? "",
    uid: values.uid ?? "",
    eventTypes: values.eventTypes ?? [],
    channels: values.channels ?? [],
    throttleRate: values.throttleRate ?? "",
    metadata: metadataText(values.metadata ?? {}),
    allowPrivate: values.allowPrivate ?? false,
    disabled: values.disabled ?? false,
    secret: values.secret ?? "",
  };
}

const orNull = <T extends { length: number }>(value: T): T | null => (value.length > 0 ? value : null);

function valuesOf(draft: Draft): EndpointValues {
  const metadata = readMetadata(draft.metadata);
  return {
    url: draft.url.trim(),
    description: draft.description.trim(),
    uid: orNull(draft.uid.trim()),
    eventTypes: orNull(draft.eventTypes),
    channels: orNull(draft.channels),
    throttleRate: draft.throttleRate === "" ? null : draft.throttleRate,
    metadata: typeof metadata === "string" ? {} : metadata,
    allowPrivate: draft.allowPrivate,
    disabled: draft.disabled,
    secret: orNull(draft.secret.trim()),
  };
}

/** `name = value` in lines. */
export const metadataText = (metadata: Record<string, string>): string =>
  Object.entries(metadata).map(([name, value]) => `${name} = ${value}`).join("\n");

/** The pairs, or what is wrong with the text. */
export function readMetadata(text: string): Record<string, string> | string {
  const pairs: [string, string][] = [];
  for (const line of text.split("\n").filter((one) => one.trim() !== "")) {
    const at = line.indexOf("=");
    if (at < 1) return `“${line.trim()}” has no name and value: write name = value.`;
    pairs.push([line.slice(0, at).trim(), line.slice(at + 1).trim()]);
  }
  return Object.fromEntries(pairs);
}

/** A URL that deliveries can go to, or what is wrong with it. */
export function urlProblem(text: string): string | null {
  try {
    const { protocol } = new URL(text);
    return protocol === "https:" || protocol === "http:" ? null : "It has to begin with https:// or http://.";
  } catch {
    return "Write the whole URL, such as https://example.com/webhooks.";
  }
}

/** Makes or changes an endpoint; what the gateway refuses is shown at its field. */
export function EndpointForm(props: EndpointFormProps) {
  const { values = {}, types, freeTypes = false, fields = ALL, locked, submitLabel = "Save", onSubmit, cancel } = props;
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useForm<Draft>({
    mode: "controlled",
    initialValues: draftOf(values),
    validate: {
      url: (url) => (fields.includes("url") ? urlProblem(url.trim()) : null),
      metadata: (text) => {
        const read = readMetadata(text);
        return typeof read === "string" ? read : null;
      },
    },
  });
  const submit = form.onSubmit(async (draft) => {
    setBusy(true);
    setError(null);
    try {
      await onSubmit(valuesOf(draft));
      form.resetDirty();
    } catch (problem) {
      setError(atFields(problem, form.setFieldError, fields) ? null : (problem as Error));
    } finally {
      setBusy(false);
    }
  }, (wrong) => {
    const first = Object.keys(wrong)[0];
    if (first) form.getInputNode(first)?.focus();
  });
  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        {locked && <Alert color="blue" variant="light" title="Only to be read"><Text>{locked}</Text></Alert>}
        <fieldset disabled={locked !== undefined} className="bare">
          <Stack>
            <Fields form={form} shows={(field) => fields.includes(field)} types={types} freeTypes={freeTypes} />
          </Stack>
        </fieldset>
        {error && <Trouble error={error} />}
        {!locked && (
          <Group justify="flex-end" gap="xs">
            {cancel && <Button variant="default" onClick={cancel}>Cancel</Button>}
            <Button type="submit" loading={busy}>{submitLabel}</Button>
          </Group>
        )}
      </Stack>
    </form>
  );
}

/** Puts what is wrong to the fields; says whether every part of it found its place. */
function atFields(problem: unknown, set: (field: string, text: string) => void, fields: readonly string[]): boolean {
  if (!(problem instanceof ApiProblem) || problem.flaws.length === 0) return false;
  let all = true;
  for (const { place, text } of problem.flaws) {
    const field = place.split(".")[0] ?? "";
    if (fields.includes(field)) set(field, problem.hint ? `${sentence(text)} ${sentence(problem.hint)}` : sentence(text));
    else all = false;
  }
  return all;
}

const sentence = (text: string): string => {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
};

interface FieldsProps {
  form: Pick<UseFormReturnType<Draft>, "getInputProps" | "values">;
  shows: (field: EndpointField) => boolean;
  types: TypeChoice[];
  freeTypes: boolean;
}

function Fields({ form, shows, types, freeTypes }: FieldsProps) {
  const typed = { label: "Event types", description: "Only events of these types are delivered here; all if empty." };
  return (
    <>
      {shows("url") && (
        <TextInput label="URL" withAsterisk required placeholder="https://example.com/webhooks" inputMode="url" autoComplete="off"
          description="Deliveries are posted here, signed." {...form.getInputProps("url")} />
      )}
      {shows("description") && <TextInput label="Description" placeholder="Order system" {...form.getInputProps("description")} />}
      {shows("eventTypes") && (freeTypes
        ? <TagsInput {...typed} placeholder="Type a name and press Enter" data={types.map((type) => type.name)} clearable {...form.getInputProps("eventTypes")} />
        : (
          <MultiSelect {...typed} placeholder={types.length === 0 ? "There are no event types yet" : "All event types"}
            data={grouped(types, form.values.eventTypes)} searchable clearable hidePickedOptions
            nothingFoundMessage="No event type of that name" {...form.getInputProps("eventTypes")} />
        ))}
      {shows("channels") && (
        <TagsInput label="Channels" placeholder="Type a name and press Enter" clearable
          description="Only events that name one of these channels are delivered here; all if empty." {...form.getInputProps("channels")} />
      )}
      {shows("throttleRate") && (
        <NumberInput label="Rate limit" suffix=" per second" placeholder="No limit" min={1} max={RATE_MAX} allowDecimal={false}
          description="The most attempts per second. What is too much waits; nothing is dropped." {...form.getInputProps("throttleRate")} />
      )}
      {shows("uid") && (
        <TextInput label="Your own id" placeholder="orders-main" spellCheck={false} autoComplete="off"
          description="Letters, digits, dot, dash and underscore. The API takes it wherever it takes the endpoint's id." {...form.getInputProps("uid")} />
      )}
      {shows("secret") && (
        <PasswordInput label="Signing secret" placeholder="whsec_…" autoComplete="off"
          visibilityToggleButtonProps={{ "aria-label": "Show what is typed" }}
          description="Leave it empty and the gateway makes one." {...form.getInputProps("secret")} />
      )}
      {shows("metadata") && (
        <Textarea label="Metadata" autosize minRows={2} placeholder="team = payments" classNames={{ input: "mono" }}
          description="Notes for your own programs, one name = value on each line." {...form.getInputProps("metadata")} />
      )}
      {shows("allowPrivate") && (
        <Switch label="May reach private networks" {...form.getInputProps("allowPrivate", { type: "checkbox" })}
          description="For receivers of your own, such as http://10.0.0.5. Leave it off for URLs that customers give." />
      )}
      {shows("disabled") && (
        <Switch label="Begin switched off" {...form.getInputProps("disabled", { type: "checkbox" })}
          description="Nothing is planned for it until it is enabled." />
      )}
    </>
  );
}

interface Choice {
  value: string;
  label: string;
}

/** The choices by group; those that are chosen stay even if nobody knows them any more. */
function grouped(types: TypeChoice[], chosen: string[]): (Choice | { group: string; items: Choice[] })[] {
  const known = new Set(types.map((type) => type.name));
  const groups = new Map<string, Choice[]>();
  const put = (group: string, value: string, label: string) =>
    groups.set(group, [...(groups.get(group) ?? []), { value, label }]);
  for (const type of types) {
    put(type.groupName ?? "", type.name, type.deprecated ? `${type.name} (deprecated)` : type.name);
  }
  for (const name of chosen) if (!known.has(name)) put("", name, name);
  const named = [...groups].filter(([group]) => group !== "").map(([group, items]) => ({ group, items }));
  return [...(groups.get("") ?? []), ...named];
}
