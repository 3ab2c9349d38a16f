// A JSON Schema and an example of it, side by side, checked by the gateway while one writes.
import { Button, Group, SimpleGrid, Stack, Text } from "@mantine/core";
import { useEffect, useRef, useState } from "react";

import { CodeEditor, type CodeProblem } from "./CodeEditor";
import { pathProblem, pointerSteps, readJson } from "./CodeEditorPlaces";

/** What a check found: at a JSON pointer of the schema or of the example. */
export interface SchemaFinding {
  path: string;
  message: string;
}

export interface SchemaChecked {
  /** What is wrong with the schema itself. */
  schema: SchemaFinding[];
  /** What of the example breaks the schema; null if there was none to check. */
  example: SchemaFinding[] | null;
  /** An example made from the schema, if one can be made. */
  made?: unknown;
}

export interface SchemaEditorProps {
  /** The schema as text. */
  value: string;
  onChange: (text: string) => void;
  /** The example as text; it is kept in the schema as the first of its `examples`. */
  example: string;
  onExample: (text: string) => void;
  /** Asks the gateway, without storing anything. */
  check?: ((schema: unknown, example: unknown) => Promise<SchemaChecked>) | undefined;
  readOnly?: boolean;
  /** What the gateway refused when it was saved. */
  refused?: SchemaFinding[];
}

const WAIT_MS = 500;
const BEGIN = { type: "object", required: ["id"], properties: { id: { type: "string", description: "What it is about" } } };

const problemsOf = (text: string, found: SchemaFinding[]): CodeProblem[] =>
  found.map(({ path, message }) => pathProblem(text, pointerSteps(path), message));

/** Edits a schema and its example; both say what is wrong with them at its place. */
export function SchemaEditor({ value, onChange, example, onExample, check, readOnly = false, refused = [] }: SchemaEditorProps) {
  const checked = useChecked(value, example, check);
  const own = readJson(value);
  const schemaProblems = value.trim() === "" ? []
    : "problem" in own ? [own.problem]
    : problemsOf(value, refused.length > 0 ? refused : (checked?.schema ?? []));
  const read = readJson(example);
  const exampleProblems = example.trim() === "" ? [] : "problem" in read ? [read.problem] : problemsOf(example, checked?.example ?? []);
  const fits = checked?.example?.length === 0 && schemaProblems.length === 0 && exampleProblems.length === 0;
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
      <Stack gap="xs">
        <CodeEditor label="Schema" language="json" value={value} onChange={onChange} problems={schemaProblems} readOnly={readOnly} minHeight={260}
          description="JSON Schema of the payload. Without one, any JSON object may be posted." />
        {!readOnly && value.trim() === "" && (
          <Group><Button variant="default" onClick={() => onChange(JSON.stringify(BEGIN, null, 2))}>Begin with an example</Button></Group>
        )}
      </Stack>
      <Stack gap="xs">
        <CodeEditor label="Example" language="json" value={example} onChange={onExample} problems={exampleProblems} readOnly={readOnly} minHeight={260}
          description="Shown in the catalogue, filled in when an event is posted by hand, sent as a test." />
        <Group gap="xs" justify="space-between">
          <Text size="sm" role="status" c={fits ? "green" : "dimmed"}>{fits ? "The example fits the schema." : ""}</Text>
          {!readOnly && example.trim() === "" && checked?.made !== undefined && (
            <Button variant="default" onClick={() => onExample(JSON.stringify(checked.made, null, 2))}>Make one from the schema</Button>
          )}
        </Group>
      </Stack>
    </SimpleGrid>
  );
}

/** What the gateway says of both, a moment after the last key. */
function useChecked(schema: string, example: string, check: SchemaEditorProps["check"]): SchemaChecked | null {
  const [checked, setChecked] = useState<SchemaChecked | null>(null);
  const ask = useRef(check);
  ask.current = check;
  useEffect(() => {
    const read = readJson(schema);
    const given = readJson(example);
    setChecked(null);
    if ("problem" in read || !ask.current) return undefined;
    let over = false;
    const timer = setTimeout(() => {
      ask.current?.(read.value, "value" in given ? given.value : undefined)
        .then((found) => { if (!over) setChecked(found); })
        // What could not be checked now is checked when it is saved.
        .catch(() => { if (!over) setChecked(null); });
    }, WAIT_MS);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [schema, example]);
  return checked;
}
