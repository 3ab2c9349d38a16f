// An event in other forms: a curl line, a test, the beginning of a handler.
import { Box, Button, Menu, Modal, Select, Skeleton, Stack, Tabs, Text } from "@mantine/core";
import { IconChevronDown, IconCode } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { sourcesQuery } from "../../api/queries/common";
import { bodyQuery, type Explain, type Headers } from "../../api/queries/events";
import { CodeBlock } from "../../parts/CodeBlock";
import { bytes } from "../../parts/format";
import { save } from "../../parts/save";
import { Trouble } from "../../parts/Trouble";
import { SNIPPETS } from "../../snippets";
import { curlOf, type Received, recordingOf } from "../../snippets/request";

type Form = "curl" | "test" | "handler";

const TITLES: Record<Form, string> = { curl: "As curl", test: "As a test for becket test", handler: "As a handler" };
const SHOWN_MAX = 256 * 1024;

export function CopyAs({ life, payloads }: { life: Explain; payloads: boolean }) {
  const [form, setForm] = useState<Form | null>(null);
  return (
    <>
      <Menu position="bottom-end" shadow="md">
        <Menu.Target><Button variant="default" leftSection={<IconCode size={15} />} rightSection={<IconChevronDown size={14} />}>Copy as</Button></Menu.Target>
        <Menu.Dropdown>
          <Menu.Item disabled={!payloads} onClick={() => setForm("curl")}>curl</Menu.Item>
          <Menu.Item disabled={!payloads} onClick={() => setForm("test")}>Test file</Menu.Item>
          <Menu.Item onClick={() => setForm("handler")}>Handler in your language</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Modal opened={form !== null} onClose={() => setForm(null)} size="xl" title={<Text fw={600} size="md" span>{form && TITLES[form]}</Text>}>
        {form === "handler" && <Handlers eventType={life.event.eventType ?? "unknown"} />}
        {(form === "curl" || form === "test") && <Whole life={life} form={form} />}
      </Modal>
    </>
  );
}

function Whole({ life, form }: { life: Explain; form: "curl" | "test" }) {
  const body = useQuery(bodyQuery(life.event.id));
  const sources = useQuery(sourcesQuery);
  if (body.error) return <Trouble error={body.error} retry={() => void body.refetch()} />;
  if (!body.data || sources.isPending) return <Skeleton h={240} />;
  const { event, request } = life;
  const explained = life.verdict.explanation as { provider?: string } | null;
  const received: Received = {
    eventId: event.id, receivedAt: event.receivedAt, source: event.source ?? "", eventType: event.eventType,
    provider: explained?.provider ?? sources.data?.data.find((one) => one.id === event.sourceId)?.provider ?? "standardwebhooks",
    method: request.method ?? "POST", url: request.url ?? "http://localhost:3000/webhooks", headers: request.headers as Headers, body: body.data,
  };
  const text = form === "curl" ? curlOf(received) : recordingOf(received);
  const name = form === "curl" ? `${event.id}.sh` : `${(event.eventType ?? "event").replace(/[^\w.-]+/g, "-").slice(0, 60)}-${event.id.slice(-8)}.toml`;
  return (
    <Stack>
      {form === "curl" ? (
        <Text>Sends the request again as it came. Its signature may be too old by now; the source then refuses it.
          {text.includes("--data-binary") && <> The body comes from a file: download the payload into the same folder first.</>}</Text>
      ) : (
        <Text>Keep it as <span className="mono">webhooks/{received.source || "events"}/{name}</span>, then run <span className="mono">becket test --to http://localhost:3000/webhooks --secret …</span>: it is signed afresh each time.
          {request.method === null && <> This event was posted, so it is signed as Standard Webhooks; use the endpoint's secret.</>}</Text>
      )}
      {text.length <= SHOWN_MAX
        ? <CodeBlock text={text} language={form === "curl" ? "Shell" : "TOML"} copyLabel={form === "curl" ? "Copy the curl line" : "Copy the test file"} wrap />
        : <Text c="dimmed">{bytes(text.length)} are too much to show; save the file instead.</Text>}
      <Button variant="default" onClick={() => save(name, "text/plain", [text])} style={{ alignSelf: "end" }}>Save as {name}</Button>
    </Stack>
  );
}

function Handlers({ eventType }: { eventType: string }) {
  const [key, setKey] = useState(SNIPPETS[0]?.key ?? "node");
  const snippet = SNIPPETS.find((one) => one.key === key) ?? SNIPPETS[0];
  if (!snippet) return null;
  const shown = <CodeBlock text={snippet.code(eventType)} language={snippet.label} copyLabel={`Copy the ${snippet.label} handler`} />;
  return (
    <Stack>
      <Text>Takes deliveries on port 3000, proves that they come from this gateway, and acts on <span className="mono foreign">{eventType}</span>. The endpoint's secret goes into <span className="mono">ENDPOINT_SECRET</span>; it begins with <span className="mono">whsec_</span>.</Text>
      <Select hiddenFrom="sm" label="Language" value={key} onChange={(value) => value && setKey(value)} data={SNIPPETS.map((one) => ({ value: one.key, label: one.label }))} allowDeselect={false} />
      <Tabs value={key} onChange={(value) => value && setKey(value)} visibleFrom="sm">
        <Tabs.List aria-label="Language">{SNIPPETS.map((one) => <Tabs.Tab key={one.key} value={one.key}>{one.label}</Tabs.Tab>)}</Tabs.List>
        <Tabs.Panel value={key} pt="sm">{shown}</Tabs.Panel>
      </Tabs>
      <Box hiddenFrom="sm">{shown}</Box>
      <Text size="xs" c="dimmed">Save it as <span className="mono">{snippet.file}</span>; start it with <span className="mono">{snippet.start}</span>.</Text>
    </Stack>
  );
}
