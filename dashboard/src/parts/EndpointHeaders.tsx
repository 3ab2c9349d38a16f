// The headers that are added to every attempt at an endpoint. Values of credentials are never told
// again; the others are hidden until somebody wants to see them.
import { ActionIcon, Button, Group, Stack, Table, Text, TextInput } from "@mantine/core";
import { IconTrash } from "@tabler/icons-react";
import { useState } from "react";

import { ApiProblem } from "../api/client";
import { Trouble } from "./Trouble";

export interface EndpointHeadersProps {
  headers: Record<string, string>;
  /** Names whose values the gateway does not tell. */
  sensitive: string[];
  /** Sets one header, or takes it away with null. */
  save: (name: string, value: string | null) => Promise<unknown>;
  locked?: string | undefined;
}

/** Shows, adds and removes headers. */
export function EndpointHeaders({ headers, sensitive, save, locked }: EndpointHeadersProps) {
  const [shown, setShown] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const names = [...Object.keys(headers), ...sensitive].sort((one, other) => one.localeCompare(other));
  const remove = async (name: string) => {
    setError(null);
    try {
      await save(name, null);
    } catch (problem) {
      setError(problem as Error);
    }
  };
  return (
    <Stack>
      <div>
        <Text component="h2" fw={600} size="md">Headers</Text>
        <Text c="dimmed">They go with every attempt, beside the signature. They are kept encrypted; values of credentials are never shown again.</Text>
      </div>
      {names.length === 0
        ? <Text>No headers are added. Add one if your receiver wants a key of its own, such as Authorization.</Text>
        : (
          <>
            <Table.ScrollContainer minWidth={320}>
              <Table aria-label="Added headers">
                <Table.Thead><Table.Tr><Table.Th>Name</Table.Th><Table.Th>Value</Table.Th>{!locked && <Table.Th w={50}><span className="visually-hidden">Remove</span></Table.Th>}</Table.Tr></Table.Thead>
                <Table.Tbody>
                  {names.map((name) => (
                    <Table.Tr key={name}>
                      <Table.Td className="mono foreign">{name}</Table.Td>
                      <Table.Td className="mono foreign">{valueOf(headers[name], shown)}</Table.Td>
                      {!locked && (
                        <Table.Td>
                          <ActionIcon variant="subtle" color="red" aria-label={`Remove ${name}`} onClick={() => void remove(name)}><IconTrash size={15} /></ActionIcon>
                        </Table.Td>
                      )}
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
            {Object.keys(headers).length > 0 && (
              <Group><Button variant="default" onClick={() => setShown(!shown)}>{shown ? "Hide values" : "Show values"}</Button></Group>
            )}
          </>
        )}
      {error && <Trouble error={error} />}
      {!locked && <NewHeader save={save} />}
    </Stack>
  );
}

function valueOf(value: string | undefined, shown: boolean): string {
  if (value === undefined) return "set, not shown";
  return shown ? value : "••••••••";
}

function NewHeader({ save }: Pick<EndpointHeadersProps, "save">) {
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const add = async () => {
    setBusy(true);
    setWrong(null);
    setError(null);
    try {
      await save(name.trim(), value);
      setName("");
      setValue("");
    } catch (problem) {
      const flaw = problem instanceof ApiProblem ? problem.flaws[0] : undefined;
      if (flaw) setWrong(`This header ${flaw.text}.`);
      else setError(problem as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={(event) => { event.preventDefault(); void add(); }}>
      <Group align="start" gap="xs">
        <TextInput label="Header" placeholder="Authorization" value={name} error={wrong} spellCheck={false} autoComplete="off" required
          onChange={(event) => setName(event.currentTarget.value)} />
        <TextInput label="Value" placeholder="Bearer …" value={value} autoComplete="off" spellCheck={false} flex={1} miw={180} required
          onChange={(event) => setValue(event.currentTarget.value)} />
        <Button type="submit" mt={22} loading={busy} disabled={name.trim() === ""}>Add the header</Button>
      </Group>
      {error && <Trouble error={error} />}
    </form>
  );
}
