// The filter of an endpoint: a JSON document, checked by the gateway, tried on what came lately.
import { Alert, Anchor, Button, Group, Stack, Table, Text } from "@mantine/core";
import { useState, type ReactNode } from "react";

import { ApiProblem } from "../api/client";
import { CodeEditor, type CodeProblem } from "./CodeEditor";
import { clauseProblem, readJson } from "./CodeEditorPlaces";
import { Trouble } from "./Trouble";

/** An event on which a filter was tried. */
export interface Tried {
  id: string;
  at: ReactNode;
  eventType: string | null;
  passes: boolean;
  /** What leads to the event, if something does. */
  link?: ReactNode;
}

export interface EndpointFilterProps {
  /** The filter as it is; null if there is none. */
  filter: unknown;
  /** Sets it, or takes it away with null. */
  save: (filter: unknown) => Promise<unknown>;
  /** Tries it on recent events. */
  tryOut?: ((filter: unknown) => Promise<Tried[]>) | undefined;
  /** Why it cannot be changed. */
  locked?: string | undefined;
}

const EXAMPLES: [string, unknown][] = [
  ["One branch", { body: { ref: "refs/heads/main" } }],
  ["Some types", { event_type: { $in: ["invoice.paid", "invoice.failed"] } }],
  ["Large amounts", { body: { data: { amount: { $gte: 10_000 } } } }],
  ["Not from bots", { $not: { body: { sender: { login: { $endsWith: "[bot]" } } } } }],
];

const pretty = (value: unknown): string => (value === null || value === undefined ? "" : JSON.stringify(value, null, 2));

/** Edits the filter; clauses that cannot work are marked where they stand. */
export function EndpointFilter({ filter, save, tryOut, locked }: EndpointFilterProps) {
  const [text, setText] = useState(() => pretty(filter));
  const [problems, setProblems] = useState<CodeProblem[]>([]);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState<"save" | "try" | null>(null);
  const [tried, setTried] = useState<Tried[] | null>(null);
  const changed = text.trim() !== pretty(filter).trim();

  const run = async (what: "save" | "try", go: (document: unknown) => Promise<void>) => {
    setError(null);
    setProblems([]);
    const read = text.trim() === "" ? { value: null } : readJson(text);
    if ("problem" in read) return setProblems([read.problem]);
    setBusy(what);
    try {
      await go(read.value);
    } catch (problem) {
      const flaw = problem instanceof ApiProblem ? problem.flaws[0] : undefined;
      if (flaw) setProblems([clauseProblem(text, flaw.text)]);
      else setError(problem as Error);
    } finally {
      setBusy(null);
    }
  };

  return (
    <Stack>
      <Text c="dimmed" maw={760}>
        An event is delivered here only if it fits every part of this document: <code>headers</code>, <code>query</code>,{" "}
        <code>body</code>, <code>path</code>, <code>method</code> and <code>event_type</code>. Without a filter everything is
        delivered that the event types let through. Events that came before a change are not looked at again.
      </Text>
      {locked && <Alert color="blue" variant="light" title="Only to be read"><Text>{locked}</Text></Alert>}
      <CodeEditor label="Filter" language="json" value={text} readOnly={locked !== undefined} problems={problems} minHeight={200}
        onChange={(next) => { setText(next); setProblems([]); setTried(null); }} />
      {!locked && (
        <Group gap="xs">
          <Text size="xs" c="dimmed">Begin with:</Text>
          {EXAMPLES.map(([name, example]) => (
            <Anchor key={name} component="button" type="button" size="xs" underline="always"
              onClick={() => { setText(pretty(example)); setProblems([]); setTried(null); }}>{name}</Anchor>
          ))}
        </Group>
      )}
      {error && <Trouble error={error} />}
      <Group gap="xs">
        {!locked && (
          <Button loading={busy === "save"} disabled={!changed} onClick={() => void run("save", async (document) => { await save(document); })}>
            {text.trim() === "" && changed ? "Remove the filter" : "Save the filter"}
          </Button>
        )}
        {tryOut && (
          <Button variant="default" loading={busy === "try"} disabled={text.trim() === ""}
            onClick={() => void run("try", async (document) => setTried(await tryOut(document)))}>
            Try it on recent events
          </Button>
        )}
        {!locked && changed && (
          <Button variant="subtle" onClick={() => { setText(pretty(filter)); setProblems([]); }}>Undo changes</Button>
        )}
      </Group>
      {tried && <Results tried={tried} />}
    </Stack>
  );
}

function Results({ tried }: { tried: Tried[] }) {
  if (tried.length === 0) {
    return <Text role="status">Nothing has come yet that it could be tried on.</Text>;
  }
  const passing = tried.filter((one) => one.passes).length;
  return (
    <Stack gap="xs">
      <Text role="status" fw={500}>
        {passing} of the last {tried.length} events would be delivered, {tried.length - passing} kept out.
      </Text>
      <Table.ScrollContainer minWidth={420}>
        <Table aria-label="Recent events and this filter">
          <Table.Thead><Table.Tr><Table.Th>Filter</Table.Th><Table.Th>Event type</Table.Th><Table.Th>Received</Table.Th></Table.Tr></Table.Thead>
          <Table.Tbody>
            {tried.map((one) => (
              <Table.Tr key={one.id}>
                <Table.Td><span className="state" data-tone={one.passes ? "good" : "none"}>{one.passes ? "delivered" : "kept out"}</span></Table.Td>
                <Table.Td className="foreign">{one.link ?? one.eventType ?? "no type"}</Table.Td>
                <Table.Td>{one.at}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Stack>
  );
}
