import { Card, Text } from "@mantine/core";
import type { ReactNode } from "react";

export interface FigureProps {
  label: string;
  value: string;
  /** Below the value: what it is made of, or how it compares. */
  note?: ReactNode;
  tone?: "bad" | "warn" | undefined;
  /** Colours the note instead of the value. */
  noteTone?: "bad" | undefined;
}

const COLOURS = { bad: "red", warn: "yellow" } as const;

/** One number that matters. */
export function Figure({ label, value, note, tone, noteTone }: FigureProps) {
  return (
    <Card padding="sm">
      <Text size="xs" c="dimmed" fw={500}>{label}</Text>
      <Text fz="1.375rem" lh={1.35} fw={600} className="numbers" {...(tone && { c: COLOURS[tone] })}>{value}</Text>
      <Text size="xs" c={noteTone ? COLOURS[noteTone] : "dimmed"} component="div" mih="1.5em" className="numbers">{note}</Text>
    </Card>
  );
}
