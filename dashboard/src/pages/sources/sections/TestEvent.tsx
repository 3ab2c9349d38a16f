import { Alert, Button, Card, Group, SegmentedControl, Select, SimpleGrid, Stack, Text, TextInput, Title } from "@mantine/core";
import { IconCircleCheck, IconCircleX, IconSend } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { type ProviderDetails, type Source, type TestResult, sendTest } from "../../../api/queries/sources";
import { ApiProblem } from "../../../api/client";
import { useSelf } from "../../../api/queries/common";
import { CodeBlock } from "../../../parts/CodeBlock";
import { CodeEditor } from "../../../parts/CodeEditor";
import { PageSkeleton } from "../../../parts/Page";
import { Trouble } from "../../../parts/Trouble";
import { visible } from "../../../parts/foreign";
import { LinkButton } from "../LinkButton";

/** Sends a request that is signed as the provider signs, through the receiving URL itself. */
export function TestEvent({ source, provider }: { source: Source; provider: ProviderDetails | undefined }) {
  const me = useSelf();
  if (!me.changes) return <Text c="dimmed">A viewer cannot send events. Ask an admin or a developer.</Text>;
  if (source.removed) return <Text c="dimmed">A removed source receives nothing.</Text>;
  if (!provider) return <PageSkeleton rows={4} />;
  return <Form key={provider.slug} source={source} provider={provider} />;
}

const pretty = (body: string) => {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
};

function Form({ source, provider }: { source: Source; provider: ProviderDetails }) {
  const queries = useQueryClient();
  const [sample, setSample] = useState(0);
  const chosen = provider.samples[sample];
  const [own, setOwn] = useState<string | null>(null);
  const [eventType, setEventType] = useState(chosen?.eventType ?? "");
  const json = chosen === undefined || chosen.contentType.includes("json");
  const test = useMutation({
    mutationFn: () => sendTest(source.id, {
      ...(chosen && { sample }),
      ...(own !== null && { body: own, ...(chosen && { contentType: chosen.contentType }) }),
      ...(eventType !== "" && eventType !== chosen?.eventType && { eventType }),
    }),
    onSettled: () => {
      for (const key of ["events", "quarantine"]) void queries.invalidateQueries({ queryKey: [key] });
    },
  });
  function take(index: number) {
    setSample(index);
    setOwn(null);
    setEventType(provider.samples[index]?.eventType ?? "");
    test.reset();
  }
  function submit(event: FormEvent) {
    event.preventDefault();
    if (!test.isPending) test.mutate();
  }
  const edit = (body: string) => setOwn(pretty(body));
  return (
    <Stack>
      <Card component="form" onSubmit={submit} aria-label="Test event">
        <Title order={2} size="h3">Send a signed test event</Title>
        <Text c="dimmed" mb="sm">
          The gateway signs it with this source's own secret, as {provider.name} would, and receives it like any other: rules, repeats,
          endpoints and all. Your endpoints get it.
        </Text>
        <Stack>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <Select label="Like" allowDeselect={false} value={String(sample)} onChange={(value) => take(Number(value))} description="What the provider sends."
              data={provider.samples.map((one, index) => ({ value: String(index), label: one.eventType ?? `Sample ${index + 1}` }))} />
            <TextInput label="Event type" value={eventType} autoComplete="off" spellCheck={false} onChange={(change) => setEventType(change.currentTarget.value)}
              description={provider.eventTypeAt.length > 0 ? `It stands at ${provider.eventTypeAt.join(" or ")}.` : "The provider names none."} />
          </SimpleGrid>
          <SegmentedControl aria-label="Body" value={own === null ? "fresh" : "own"} w="fit-content"
            data={[{ value: "fresh", label: "A fresh sample" }, { value: "own", label: "A body of your own" }]}
            onChange={(to) => (to === "own" ? edit(test.data?.request.bodyText ?? chosen?.body ?? "{}") : setOwn(null))} />
          {own === null
            ? <Text size="sm" c="dimmed">Made by the gateway as {provider.name} writes it, with ids and times of its own, so that it is no repeat of the last one.</Text>
            : <CodeEditor label="Body" language={json ? "json" : "text"} value={own} onChange={setOwn} minHeight={180} maxHeight={420} />}
          <Group>
            <Button type="submit" size="sm" leftSection={<IconSend size={16} aria-hidden />} loading={test.isPending}>Sign and send</Button>
          </Group>
        </Stack>
      </Card>
      <div aria-live="polite">
        {test.error && <Failed error={test.error} provider={provider} />}
        {test.data && <Result result={test.data} onEdit={() => edit(test.data.request.bodyText)} />}
      </div>
    </Stack>
  );
}

function Failed({ error, provider }: { error: Error; provider: ProviderDetails }) {
  if (error instanceof ApiProblem && error.code === "cannot_sign") {
    return (
      <Alert color="yellow" variant="light" title="This provider's signature cannot be made here">
        <Text className="foreign">{error.message}</Text>
        <Text>{error.hint ?? `Send a test from ${provider.name}'s own settings instead.`}</Text>
      </Alert>
    );
  }
  return <Trouble error={error} />;
}

const OUTCOMES: Record<string, string> = {
  accepted: "It is an event now",
  duplicate: "It counts as a repeat of an event that came before",
  filtered: "It was accepted and is not kept for delivery: its type is not among those of the source",
  invalid: "Its body breaks a rule of the source",
  refused: "It was refused",
  limited: "It was held back by the rate limit",
};

function Result({ result, onEdit }: { result: TestResult; onEdit: () => void }) {
  const good = result.status < 300;
  return (
    <Card component="section" aria-label="What became of it">
      <Stack>
        <Group wrap="nowrap" align="flex-start" gap="sm">
          {good ? <IconCircleCheck size={24} color="var(--mantine-color-green-6)" aria-hidden /> : <IconCircleX size={24} color="var(--mantine-color-red-6)" aria-hidden />}
          <div>
            <Text fw={600}>{OUTCOMES[result.outcome] ?? result.outcome} (answered {result.status})</Text>
            {result.detail && <Text className="foreign">{visible(result.detail)}</Text>}
          </div>
        </Group>
        <Group>
          {result.eventId && <LinkButton to="/events/$eventId" params={{ eventId: result.eventId }}>See the event</LinkButton>}
          <Button variant="default" onClick={onEdit}>Edit its body and send again</Button>
          {!good && <LinkButton to="/quarantine" variant="default">Open the quarantine</LinkButton>}
        </Group>
        <details>
          <summary>The request as it was sent</summary>
          <Stack mt="sm" gap="xs">
            <CodeBlock wrap copyLabel="Copy the request" text={[
              `${result.request.method} ${result.request.path}`,
              ...result.request.headers.map(([name, value]) => `${name}: ${value}`),
              "", visible(result.request.bodyText),
            ].join("\n")} />
          </Stack>
        </details>
      </Stack>
    </Card>
  );
}
