// What came: the body as a tree, text or bytes, and the headers. It is only ever shown, never run.
import { Alert, Button, Group, SegmentedControl, Skeleton, Stack, Text } from "@mantine/core";
import { IconDownload, IconEyeOff, IconFilterSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";

import { ApiProblem } from "../../api/client";
import { bodyQuery, type Explain, type Headers } from "../../api/queries/events";
import { CopyButton } from "../../parts/CopyButton";
import { hasHidden, visible } from "../../parts/foreign";
import { bytes } from "../../parts/format";
import { JsonTree } from "../../parts/JsonTree";
import { save } from "../../parts/save";
import { HexRows, TextRows } from "../../parts/TextRows";
import { useBody } from "../../parts/tree/useBody";
import { Trouble } from "../../parts/Trouble";
import { Pairs } from "./life/Attempts";
import { whereIs } from "./where";

const COPIED_MAX = 4 * 1024 * 1024;
const LOADED_AT_ONCE_MAX = 32 * 1024 * 1024;

interface Props {
  life: Explain;
  allowed: boolean;
}

export function Payload({ life, allowed }: Props) {
  const { event, request } = life;
  const size = request.body?.sizeBytes ?? 0;
  const [wanted, setWanted] = useState(size <= LOADED_AT_ONCE_MAX);
  const body = useQuery({ ...bodyQuery(event.id), enabled: allowed && wanted });
  const hidden = !allowed || (body.error instanceof ApiProblem && body.error.status === 403);
  if (hidden) {
    return <Alert color="gray" icon={<IconEyeOff size={18} />} title="The payload is hidden">Your sign-in may see what happened to events, and not what is in them. Ask an admin for the right to see payloads.</Alert>;
  }
  if (!wanted) return <Button variant="default" onClick={() => setWanted(true)}>Load {bytes(size)}</Button>;
  if (body.error) return <Trouble error={body.error} retry={() => void body.refetch()} />;
  if (!body.data) return <Skeleton h={300} />;
  return <Body life={life} bytes={body.data} />;
}

type View = "tree" | "text" | "bytes" | "form" | "headers";

function Body({ life, bytes: body }: { life: Explain; bytes: ArrayBuffer }) {
  const headers = life.request.headers as Headers;
  const type = headers.find(([name]) => name.toLowerCase() === "content-type")?.[1] ?? "";
  const isForm = /^application\/x-www-form-urlencoded/i.test(type);
  const isJson = /json/i.test(type);
  const { read, found, searching, search, failed } = useBody(body, !isForm && !/xml|html/i.test(type));
  const [chosen, setChosen] = useState<View | null>(null);
  const first: View = isForm ? "form" : read?.tree ? "tree" : read && !read.utf8 ? "bytes" : "text";
  const view = chosen ?? first;
  const navigate = useNavigate();
  useEffect(() => setChosen(null), [body]);
  const views: { value: View; label: string }[] = [
    ...(read?.tree ? [{ value: "tree" as const, label: "Tree" }] : []),
    ...(isForm ? [{ value: "form" as const, label: "Form" }] : []),
    { value: "text", label: "Text" }, { value: "bytes", label: "Bytes" }, { value: "headers", label: `Headers (${headers.length})` },
  ];
  if (failed) return <Alert color="red" title="The payload could not be read">{failed}</Alert>;
  if (!read) return <Skeleton h={300} aria-label="Reading the payload" />;
  return (
    <Stack gap="sm">
      <Group justify="space-between" gap="xs">
        <SegmentedControl aria-label="How the payload is shown" value={view} onChange={(value) => setChosen(value as View)} data={views} />
        <Group gap={6}>
          {read.text.length <= COPIED_MAX && read.utf8 && <CopyButton value={read.text} label="Copy the payload" />}
          <Button variant="default" leftSection={<IconDownload size={15} />} onClick={() => save(`${life.event.id}.body`, "application/octet-stream", [body])}>Download</Button>
        </Group>
      </Group>
      <Text size="xs" c="dimmed" className="foreign">
        {bytes(body.byteLength)}{type ? `, ${visible(type, true)}` : ""}{read.tree && read.tree.deepest > 60 ? `, ${read.tree.deepest + 1} levels deep` : ""}
      </Text>
      <Remarks read={read} isJson={isJson} />
      {body.byteLength === 0 && view !== "headers" && <Text c="dimmed">The body is empty.</Text>}
      {view === "tree" && read.tree && (
        <JsonTree text={read.text} tree={read.tree} found={found} searching={searching} search={search} more={(path, source) => (
          <Button size="compact-xs" variant="default" leftSection={<IconFilterSearch size={13} />}
            onClick={() => void navigate({ to: "/events", search: { where: whereIs(path, source), ...(life.event.source && { source: life.event.source }) } })}>Events with this</Button>
        )} />
      )}
      {view === "form" && <Form text={read.text} />}
      {view === "text" && body.byteLength > 0 && <TextRows text={read.text} lines={read.lines} label="Payload as text" />}
      {view === "bytes" && body.byteLength > 0 && <HexRows bytes={body} label="Payload as bytes" />}
      {view === "headers" && <Pairs pairs={headers} label="Request headers" />}
    </Stack>
  );
}

function Remarks({ read, isJson }: { read: NonNullable<ReturnType<typeof useBody>["read"]>; isJson: boolean }) {
  // Only the beginning is looked through: the sign is a help, not a proof.
  const strange = useMemo(() => hasHidden(read.text.slice(0, 200_000)), [read.text]);
  return (
    <>
      {!read.utf8 && <Text size="sm">This is not UTF-8: bytes that are no text are replaced by � in the text view.</Text>}
      {read.broken && isJson && <Text size="sm" className="foreign">It says that it is JSON and is not: {read.broken.why}, at character {read.broken.at + 1}.</Text>}
      {strange && read.utf8 && <Text size="sm">It contains signs that cannot be seen or that turn the direction of writing; they are shown as ⟨U+…⟩.</Text>}
    </>
  );
}

function Form({ text }: { text: string }) {
  const pairs = useMemo(() => [...new URLSearchParams(text)].slice(0, 2_000), [text]);
  return <Pairs pairs={pairs} label="Fields of the form" />;
}
