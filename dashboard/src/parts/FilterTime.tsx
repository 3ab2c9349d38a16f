// When: the last so long, or from one exact moment to another, in the reader's zone.
import { Button, Group, Popover, Stack, Text, TextInput } from "@mantine/core";
import { IconClock } from "@tabler/icons-react";
import { useEffect, useState } from "react";

export interface Span {
  range?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
}

const PRESETS: [string, string][] = [
  ["15m", "Last 15 minutes"], ["1h", "Last hour"], ["6h", "Last 6 hours"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"], ["30d", "Last 30 days"],
];
const shown = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" });

/** A span in words. */
export function spanWords({ range, since, until }: Span): string {
  if (range) return PRESETS.find(([key]) => key === range)?.[1] ?? `Last ${range}`;
  const at = (time: string) => { const moment = Date.parse(time); return Number.isNaN(moment) ? time : shown.format(moment); };
  if (since && until) return `${at(since)} – ${at(until)}`;
  if (since) return `Since ${at(since)}`;
  return until ? `Until ${at(until)}` : "Any time";
}

// What `datetime-local` fields speak: the reader's own time, without a zone.
function fieldOf(time: string | undefined): string {
  const moment = time ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(moment)) return "";
  return new Date(moment - new Date(moment).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
const timeOf = (field: string): string | undefined => (field ? new Date(field).toISOString() : undefined);

export function FilterTime({ value, onChange, fullWidth = false }: { value: Span; onChange: (span: Span) => void; fullWidth?: boolean }) {
  const [opened, setOpened] = useState(false);
  const [since, setSince] = useState("");
  const [until, setUntil] = useState("");
  useEffect(() => { setSince(fieldOf(value.since)); setUntil(fieldOf(value.until)); }, [value.since, value.until]);
  const take = (span: Span) => { setOpened(false); onChange({ range: undefined, since: undefined, until: undefined, ...span }); };
  const set = Boolean(value.range || value.since || value.until);
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" trapFocus returnFocus shadow="md" withinPortal>
      <Popover.Target>
        <Button variant={set ? "light" : "default"} leftSection={<IconClock size={15} />} fullWidth={fullWidth} fw={400} justify="flex-start"
          aria-label={`Time: ${spanWords(value)}`} aria-haspopup="dialog" onClick={() => setOpened(!opened)}>{spanWords(value)}</Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Time">
        <Stack gap="xs" w={280}>
          <Group gap={6}>
            {PRESETS.map(([key, label]) => (
              <Button key={key} size="compact-xs" variant={value.range === key ? "filled" : "default"} onClick={() => take({ range: key })}>{label}</Button>
            ))}
            <Button size="compact-xs" variant={set ? "default" : "filled"} onClick={() => take({})}>Any time</Button>
          </Group>
          <form onSubmit={(event) => { event.preventDefault(); take({ since: timeOf(since), until: timeOf(until) }); }}>
            <Stack gap="xs">
              <TextInput type="datetime-local" step={1} label="From" value={since} onChange={(change) => setSince(change.currentTarget.value)} />
              <TextInput type="datetime-local" step={1} label="To" value={until} onChange={(change) => setUntil(change.currentTarget.value)} />
              <Text size="xs" c="dimmed">In your time zone, {Intl.DateTimeFormat().resolvedOptions().timeZone}.</Text>
              <Button type="submit" disabled={!since && !until}>Use these times</Button>
            </Stack>
          </form>
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}

