// What changed between two texts, line by line. JSON is laid out first, so that a changed field is one line.
import { Skeleton, Text } from "@mantine/core";
import { useEffect, useState } from "react";

import { visible } from "./foreign";
import { counted } from "./format";

interface Line {
  change: "added" | "removed" | "kept";
  text: string;
}

const PATIENCE_MS = 800;
const CONTEXT = 3;

function laidOut(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function compared(before: string, after: string): Promise<Line[] | null> {
  const { diffLines } = await import("diff");
  const parts = diffLines(laidOut(before), laidOut(after), { timeout: PATIENCE_MS });
  // The library answers with nothing when it ran out of time.
  return (parts as typeof parts | undefined)?.flatMap((part) => {
    const change = part.added ? "added" : part.removed ? "removed" : "kept";
    return part.value.replace(/\n$/, "").split("\n").map((text): Line => ({ change, text }));
  }) ?? null;
}

// Long parts that stayed the same are left out between the changes.
function shortened(lines: Line[]): (Line | number)[] {
  const near = (index: number) => lines.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1).some((line) => line.change !== "kept");
  const shown: (Line | number)[] = [];
  lines.forEach((line, index) => {
    if (near(index)) shown.push(line);
    else if (typeof shown.at(-1) === "number") shown[shown.length - 1] = Number(shown.at(-1)) + 1;
    else shown.push(1);
  });
  return shown;
}

const SIGNS = { added: "+ ", removed: "− ", kept: "  " };

export function Diff({ before, after, label }: { before: string; after: string; label: string }) {
  const [lines, setLines] = useState<Line[] | null | undefined>(undefined);
  useEffect(() => {
    let here = true;
    void compared(before, after).then((found) => { if (here) setLines(found); });
    return () => { here = false; };
  }, [before, after]);
  if (lines === undefined) return <Skeleton h={60} />;
  if (lines === null) return <Text size="sm" c="dimmed">The two differ too much to be compared line by line.</Text>;
  if (lines.every((line) => line.change === "kept")) return <Text size="sm" c="dimmed">Only the layout differs: the values are the same.</Text>;
  return (
    <pre className="diff" aria-label={label} tabIndex={0} role="group">
      {shortened(lines).map((line, index) => (typeof line === "number"
        ? <span key={index} data-change="kept">… {counted(line, "line")} the same</span>
        : <span key={index} data-change={line.change}>{SIGNS[line.change]}{visible(line.text)}</span>))}
    </pre>
  );
}
