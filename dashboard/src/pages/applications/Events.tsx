// Events of an application: the latest, and a form that posts one by hand.
import { Alert, Autocomplete, Button, Card, Group, SimpleGrid, Stack, Table, TagsInput, Text, TextInput } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";

import { ApiProblem } from "../../api/client";
import { type Application, postedQuery, postEvent, precheck } from "../../api/queries/applications";
import { useSelf } from "../../api/queries/common";
import { eventTypeQuery, eventTypesQuery, exampleOf } from "../../api/queries/event-types";
import { CodeEditor, type CodeProblem } from "../../parts/CodeEditor";
import { pathProblem, readJson } from "../../parts/CodeEditorPlaces";
import { Empty } from "../../parts/Empty";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";

export function EventsTab({ application }: { application: Application }) {
  const me = useSelf();
  const posted = useQuery(postedQuery(application.id));
  const rows = posted.data?.data ?? [];
  return (
    <SimpleGrid cols={{ base: 1, md: me.changes ? 2 : 1 }} spacing="md">
      {me.changes && <PostEvent application={application} />}
      <Stack gap="xs">
        <Group justify="space-between">
          <Text component="h2" fw={600} size="md">Latest events</Text>
          <Link to="/events" search={{ application: application.id }} className="link">All events</Link>
        </Group>
        {posted.error && <Trouble error={posted.error} retry={() => void posted.refetch()} />}
        {posted.isSuccess && rows.length === 0 && <Empty title="Nothing was posted yet">Post one by hand here, or let your program do it with the API.</Empty>}
        {rows.length > 0 && (
          <Table aria-label="Latest events" layout="fixed">
            <Table.Thead><Table.Tr><Table.Th>Event type</Table.Th><Table.Th w={200}>Posted</Table.Th></Table.Tr></Table.Thead>
            <Table.Tbody>
              {rows.map((row) => (
                <Table.Tr key={row.id}>
                  <Table.Td><Link to="/events/$eventId" params={{ eventId: row.id }} className="link foreign">{row.eventType}</Link></Table.Td>
                  <Table.Td><Time at={row.timestamp} quiet /></Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
      </Stack>
    </SimpleGrid>
  );
}

interface Result {
  id: string;
  /** Whether some endpoint takes it. */
  taken: boolean;
}

function PostEvent({ application }: { application: Application }) {
  const queries = useQueryClient();
  const types = useQuery(eventTypesQuery);
  const known = (types.data ?? []).filter((type) => !type.archived).map((type) => type.name);
  const [type, setType] = useState("");
  const [payload, setPayload] = useState("{\n  \n}");
  const [touched, setTouched] = useState(false);
  const [channels, setChannels] = useState<string[]>([]);
  const [tags, setTags] = useState<string[]>([]);
  const [eventId, setEventId] = useState("");
  const [problems, setProblems] = useState<CodeProblem[]>([]);
  const [wrong, setWrong] = useState<string | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<Result | null>(null);
  const details = useQuery({ ...eventTypeQuery(type), enabled: known.includes(type), retry: false });
  const example = details.data ? exampleOf(details.data) : null;
  useEffect(() => {
    if (!touched && example !== null) setPayload(JSON.stringify(example, null, 2));
  }, [example, touched]);

  const failed = (problem: unknown) => {
    if (!(problem instanceof ApiProblem) || problem.flaws.length === 0) return setError(problem as Error);
    const ofType = problem.flaws.find((flaw) => flaw.place === "eventType");
    if (ofType) return setWrong(`It ${ofType.text}.`);
    const ofPayload = problem.flaws.filter((flaw) => flaw.place.split(".")[0] === "payload");
    if (ofPayload.length < problem.flaws.length) setError(problem);
    setProblems(ofPayload.map((flaw) => pathProblem(payload, flaw.place.split(".").slice(1), flaw.text)));
  };
  const post = async () => {
    setError(null);
    setWrong(null);
    setResult(null);
    const read = readJson(payload);
    if ("problem" in read) return setProblems([read.problem]);
    setProblems([]);
    setBusy(true);
    try {
      const name = type.trim();
      const { active } = await precheck(application.id, name, channels);
      const made = await postEvent(application.id, {
        eventType: name, payload: read.value,
        ...(channels.length > 0 && { channels }), ...(tags.length > 0 && { tags }), ...(eventId.trim() !== "" && { eventId: eventId.trim() }),
      });
      setResult({ id: made.id, taken: active });
      await queries.invalidateQueries({ queryKey: ["applications", application.id, "posted"] });
    } catch (problem) {
      failed(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card>
      <form onSubmit={(event) => { event.preventDefault(); void post(); }}>
        <Stack>
          <Text component="h2" fw={600} size="md">Post an event</Text>
          <Autocomplete label="Event type" required withAsterisk placeholder={known[0] ?? "invoice.paid"} data={known} value={type} error={wrong}
            onChange={(value) => { setType(value); setWrong(null); }} />
          <CodeEditor label="Payload" language="json" value={payload} problems={problems} minHeight={180}
            description={example !== null && !touched ? "Filled in from the example of the event type." : "A JSON object."}
            onChange={(text) => { if (text !== payload) { setPayload(text); setTouched(example === null || text !== JSON.stringify(example, null, 2)); setProblems([]); } }} />
          <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
            <TagsInput label="Channels" placeholder="Enter adds one" value={channels} onChange={setChannels} description="Who listens to them" />
            <TagsInput label="Tags" placeholder="Enter adds one" value={tags} onChange={setTags} description="To find it again" />
          </SimpleGrid>
          <TextInput label="Event id" placeholder="invoice-42-paid" value={eventId} onChange={(event) => setEventId(event.currentTarget.value)}
            description="Your own; the same one twice is refused. Leave it empty if there is none." />
          {error && <Trouble error={error} />}
          {result && <Posted result={result} />}
          <Group justify="flex-end"><Button type="submit" loading={busy} disabled={type.trim() === ""}>Post the event</Button></Group>
        </Stack>
      </form>
    </Card>
  );
}

function Posted({ result }: { result: Result }) {
  const link = <Link to="/events/$eventId" params={{ eventId: result.id }} className="link">See what becomes of it</Link>;
  return (
    <Alert color={result.taken ? "green" : "yellow"} variant="light" role="status" title={result.taken ? "Posted" : "Posted, but no endpoint takes it"}>
      <Text>{result.taken ? "It is on disk and on its way to the endpoints." : "No endpoint of this application asks for this event type and these channels."} {link}.</Text>
    </Alert>
  );
}
