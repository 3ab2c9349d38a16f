// Text from outside, shown as text: JSON in its usual shape, anything else as it came.
import { Button, Text } from "@mantine/core";
import { useState } from "react";

import { CodeBlock } from "../parts/CodeBlock";
import { visible } from "../parts/foreign";
import { bytes } from "../parts/format";

/** More than this is shown when it is asked for, so that a huge payload does not freeze the page. */
const SHOWN_MAX = 100_000;

/** A message's payload; a body that is no JSON object comes in base64 with its type. */
export function Payload({ payload }: { payload: Record<string, unknown> }) {
  const raw = payload.raw;
  if (typeof raw === "string" && Object.keys(payload).every((key) => key === "raw" || key === "contentType")) {
    return <Raw base64={raw} type={typeof payload.contentType === "string" ? payload.contentType : "unknown"} />;
  }
  if (payload.expired === true && Object.keys(payload).length === 1) {
    return <Text c="dimmed">The payload was removed; only that the event was sent is kept.</Text>;
  }
  return <Body text={written(payload)} />;
}

/** Nesting that is deeper than the browser can write down is said, not shown. */
function written(payload: Record<string, unknown>): string {
  try {
    return JSON.stringify(payload, null, 2);
  } catch {
    return "This payload is nested too deeply to be shown here. It is delivered as it is.";
  }
}

function Raw({ base64, type }: { base64: string; type: string }) {
  const data = Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
  const text = readable(data);
  return (
    <>
      <Text size="xs" c="dimmed" mb={4} className="foreign">{type}, {bytes(data.length)}</Text>
      {text === null ? <Text c="dimmed">The body is not text; it is delivered byte for byte as it came.</Text> : <Body text={text} />}
    </>
  );
}

function readable(data: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch {
    return null;
  }
}

/** A text in the shape that is easiest to read, at most so long. */
export function Body({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  const shaped = all || text.length <= SHOWN_MAX ? pretty(text) : text.slice(0, SHOWN_MAX);
  return (
    <>
      <CodeBlock text={visible(shaped)} copyLabel="Copy" wrap />
      {!all && text.length > SHOWN_MAX && (
        <Button mt="xs" variant="default" onClick={() => setAll(true)}>Show all {bytes(text.length)}</Button>
      )}
    </>
  );
}

function pretty(text: string): string {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text) as unknown, null, 2);
  } catch {
    return text;
  }
}
