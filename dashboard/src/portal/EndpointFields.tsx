// The form of an endpoint as a customer fills it in: URL, description, which events, and the less
// common settings folded away.
import { Button, Group, NumberInput, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import { useState, type FormEvent } from "react";

import { ApiProblem } from "../api/client";
import { Trouble } from "../parts/Trouble";
import { useRights } from "./context";
import { TypePicker } from "./TypePicker";

export interface Fields {
  url: string;
  description: string;
  eventTypes: string[] | null;
  channels: string[] | null;
  throttleRate: number | null;
}

export interface EndpointFieldsProps {
  values?: Fields;
  submitLabel: string;
  onSubmit: (fields: Fields) => Promise<unknown>;
  cancel?: () => void;
}

const NOTHING: Fields = { url: "", description: "", eventTypes: null, channels: null, throttleRate: null };

/** What is wrong with a URL, before anybody is asked. */
export function urlProblem(text: string): string | null {
  try {
    const { protocol } = new URL(text);
    return protocol === "https:" || protocol === "http:" ? null : "Begin with https:// or http://.";
  } catch {
    return "Write the whole URL, such as https://example.com/webhooks.";
  }
}

export function EndpointFields({ values = NOTHING, submitLabel, onSubmit, cancel }: EndpointFieldsProps) {
  const { source } = useRights();
  const [draft, setDraft] = useState(values);
  const [wrong, setWrong] = useState<Record<string, string>>({});
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const put = (change: Partial<typeof draft>) => {
    setDraft((before) => ({ ...before, ...change }));
    // What is being mended is not called wrong any more.
    setWrong((before) => Object.fromEntries(Object.entries(before).filter(([field]) => !(field in change))));
  };

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const url = urlProblem(draft.url.trim());
    setWrong(url ? { url } : {});
    if (url) return document.getElementById("endpoint-url")?.focus();
    setBusy(true);
    setError(null);
    try {
      await onSubmit({ ...draft, url: draft.url.trim(), description: draft.description.trim() });
    } catch (problem) {
      const places = placesOf(problem);
      setWrong(places);
      // The end of a session is told over the whole page.
      const ended = problem instanceof ApiProblem && problem.status === 401;
      if (Object.keys(places).length === 0 && !ended) setError(problem as Error);
    } finally {
      setBusy(false);
    }
  };
  const special = draft.channels !== null || draft.throttleRate !== null;
  return (
    <form onSubmit={(event) => void submit(event)} noValidate aria-label={submitLabel}>
      <Stack gap="lg" maw={760}>
        <TextInput id="endpoint-url" label="URL" withAsterisk required inputMode="url" autoComplete="off" spellCheck={false} size="sm"
          placeholder="https://example.com/webhooks" description="Events are posted here, signed. It has to be reachable from the internet."
          value={draft.url} onChange={(event) => put({ url: event.currentTarget.value })} error={wrong.url} />
        <TextInput label="Description" size="sm" placeholder="Order system" description="A name for yourself."
          value={draft.description} onChange={(event) => put({ description: event.currentTarget.value })} error={wrong.description} />
        {source
          ? <TagsInput label="Event types" size="sm" description="Only events of these types are delivered here; all if empty." placeholder="Type a name and press Enter"
              value={draft.eventTypes ?? []} onChange={(types) => put({ eventTypes: types.length > 0 ? types : null })} error={wrong.eventTypes} />
          : <TypePicker chosen={draft.eventTypes} change={(eventTypes) => put({ eventTypes })} error={wrong.eventTypes} />}
        <details className="more" open={special || undefined}>
          <summary>More settings</summary>
          <Stack gap="lg" mt="sm">
            <TagsInput label="Channels" size="sm" description="If your events name channels: only those of these are delivered here; all if empty."
              placeholder="Type a name and press Enter" value={draft.channels ?? []}
              onChange={(channels) => put({ channels: channels.length > 0 ? channels : null })} error={wrong.channels} />
            <NumberInput label="Rate limit" size="sm" suffix=" per second" placeholder="No limit" min={1} max={65_535} allowDecimal={false}
              description="At most so many requests a second. What is too much waits; nothing is dropped."
              value={draft.throttleRate ?? ""} onChange={(rate) => put({ throttleRate: typeof rate === "number" ? rate : null })} error={wrong.throttleRate} />
          </Stack>
        </details>
        {error && <Trouble error={error} />}
        <Group gap="xs">
          <Button type="submit" size="sm" loading={busy}>{submitLabel}</Button>
          {cancel && <Button size="sm" variant="default" onClick={cancel}>Cancel</Button>}
          {Object.keys(wrong).length > 0 && <Text c="var(--mantine-color-error)" role="alert">Something above is not right yet.</Text>}
        </Group>
      </Stack>
    </form>
  );
}

/** What the gateway found wrong, by field; empty if it was something else. */
export function placesOf(problem: unknown): Record<string, string> {
  if (!(problem instanceof ApiProblem)) return {};
  const places: Record<string, string> = {};
  for (const { place, text } of problem.flaws) {
    const [field = "", ...rest] = place.split(".");
    if (!["url", "description", "eventTypes", "channels", "throttleRate"].includes(field)) return {};
    places[field] = rest.length > 0 ? `${rest.join(".")} ${text}.` : sentence(text);
  }
  return places;
}

const sentence = (text: string): string => {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
};
