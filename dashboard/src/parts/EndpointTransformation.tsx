// The transformation of an endpoint: JavaScript that changes a delivery before it is signed and sent.
import { Alert, Button, Group, Stack, Switch, Text, Textarea } from "@mantine/core";
import { type ReactNode, useState } from "react";

import { ApiProblem } from "../api/client";
import { CodeEditor, type CodeProblem } from "./CodeEditor";
import { metadataText, readMetadata } from "./EndpointForm";
import { Trouble } from "./Trouble";

/** A transformation as the API tells it. */
export interface Transformation {
  code: string | null;
  enabled: boolean;
  variables: Record<string, string> | null;
}

export interface EndpointTransformationProps {
  transformation: Transformation;
  /** How code can be tried out without delivering anything, if there is a way. */
  hint?: ReactNode;
  save: (transformation: Transformation) => Promise<unknown>;
  locked?: string | undefined;
}

const BEGIN = `function handler(webhook) {
  // webhook.payload, .headers, .method, .url, .eventType, .variables
  webhook.payload = { text: JSON.stringify(webhook.payload) };
  return webhook;
}
`;

/** `line 3: …` as the gateway says it, put to its line. */
export function lineProblem(text: string): CodeProblem {
  const line = /\bline (\d+): /.exec(text);
  const message = text.replace(/^cannot be used: /, "").replace(/^line \d+: /, "");
  return line ? { message, line: Number(line[1]) } : { message };
}

/** Edits code and variables; code that cannot be loaded is refused with its line. */
export function EndpointTransformation({ transformation, save, locked, hint }: EndpointTransformationProps) {
  const [code, setCode] = useState(transformation.code ?? "");
  const [variables, setVariables] = useState(() => metadataText(transformation.variables ?? {}));
  const [enabled, setEnabled] = useState(transformation.enabled);
  const [problems, setProblems] = useState<CodeProblem[]>([]);
  const [wrong, setWrong] = useState<string | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const had = transformation.code !== null;

  const put = async (next: Transformation) => {
    setBusy(true);
    setError(null);
    setProblems([]);
    try {
      await save(next);
      return true;
    } catch (problem) {
      const flaws = problem instanceof ApiProblem ? problem.flaws : [];
      const ofCode = flaws.filter((flaw) => flaw.place === "code");
      setProblems(ofCode.map((flaw) => lineProblem(flaw.text)));
      if (ofCode.length === 0) setError(problem as Error);
      return false;
    } finally {
      setBusy(false);
    }
  };
  const submit = async () => {
    const read = readMetadata(variables);
    setWrong(typeof read === "string" ? read : null);
    if (typeof read === "string") return;
    await put({ code: code.trim() === "" ? null : code, enabled, variables: Object.keys(read).length > 0 ? read : null });
  };
  const remove = async () => {
    if (!(await put({ code: null, enabled: false, variables: null }))) return;
    setCode("");
    setVariables("");
    setEnabled(false);
  };

  return (
    <Stack>
      <Text c="dimmed" maw={760}>
        Code that changes each delivery here before it is signed: other fields, other headers, another URL, or nothing at
        all. The event itself stays as it came. It runs without network and files, for one second at most; if it fails, the
        attempt fails and is tried again by the schedule.
      </Text>
      {locked && <Alert color="blue" variant="light" title="Only to be read"><Text>{locked}</Text></Alert>}
      {code === "" && !locked && (
        <Group><Button variant="default" onClick={() => { setCode(BEGIN); setEnabled(true); }}>Begin with an example</Button></Group>
      )}
      <CodeEditor label="Code" language="javascript" value={code} readOnly={locked !== undefined} problems={problems} minHeight={220}
        onChange={(next) => { setCode(next); setProblems([]); }} />
      <Textarea label="Variables" classNames={{ input: "mono" }} autosize minRows={2} placeholder="CHANNEL = ops" value={variables} error={wrong}
        readOnly={locked !== undefined} description="The code finds them as webhook.variables, one NAME = value on each line. They are kept encrypted."
        onChange={(event) => setVariables(event.currentTarget.value)} />
      <Switch label="Apply it to deliveries" checked={enabled} disabled={locked !== undefined}
        onChange={(event) => setEnabled(event.currentTarget.checked)} />
      {hint}
      {error && <Trouble error={error} />}
      {!locked && (
        <Group gap="xs">
          <Button loading={busy} onClick={() => void submit()}>Save the transformation</Button>
          {had && <Button variant="default" color="red" disabled={busy} onClick={() => void remove()}>Remove it</Button>}
        </Group>
      )}
    </Stack>
  );
}
