// Every source: who sends, to which URL, and whether it is well.
import { ActionIcon, Card, Checkbox, Group, Stack, Text, TextInput, Tooltip } from "@mantine/core";
import { useInViewport } from "@mantine/hooks";
import { IconPlus, IconSearch, IconX } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { type Source, type SourceActivity, newestEventsQuery, sourceActivityQuery, sourceListQuery } from "../../api/queries/sources";
import { useSelf } from "../../api/queries/common";
import { type ProblemOut, problemsQuery } from "../../api/queries/home";
import { CopyButton } from "../../parts/CopyButton";
import { Empty } from "../../parts/Empty";
import { Page } from "../../parts/Page";
import { State } from "../../parts/State";
import { Time, local } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { fullCount } from "../../parts/format";
import { LinkButton } from "./LinkButton";
import { listSearch } from "./search";
import "./sources.css";
import { nameOf } from "./names";
import { useView } from "./view";

const ABOUT_SOURCES = new Set(["source_quiet", "signatures_refused"]);

export function SourcesPage() {
  const me = useSelf();
  const [view, change] = useView(listSearch);
  const sources = useQuery(sourceListQuery);
  const activity = useQuery(sourceActivityQuery);
  const problems = useQuery(problemsQuery);
  const all = sources.data ?? [];
  const removed = all.filter((source) => source.removed).length;
  const wanted = (view.find ?? "").toLowerCase();
  const rows = all
    .filter((source) => view.removed || !source.removed)
    .filter((source) => [nameOf(source), source.uid, source.provider, source.providerName, source.receivingUrl].some((text) => text?.toLowerCase().includes(wanted)));
  const add = me.changes && <LinkButton to="/sources/new" leftSection={<IconPlus size={16} aria-hidden />}>New source</LinkButton>;
  const none = sources.data !== undefined && rows.length === 0 && wanted === "";
  return (
    <Page title="Sources" lead="A source is a receiving URL for one provider, with its secrets and rules." actions={add}>
      {sources.error && <Trouble error={sources.error} retry={() => void sources.refetch()} />}
      {all.length > 0 && (
        <Group gap="md">
          <TextInput aria-label="Find a source" placeholder="Find by name, provider or URL" leftSection={<IconSearch size={15} aria-hidden />} w={{ base: "100%", xs: 300 }}
            value={view.find ?? ""} onChange={(typed) => change({ find: typed.currentTarget.value || undefined }, { replace: true })}
            rightSection={view.find && <ActionIcon variant="subtle" color="gray" size="sm" aria-label="Clear" onClick={() => change({ find: undefined }, { replace: true })}><IconX size={14} /></ActionIcon>} />
          {removed > 0 && (
            <Checkbox label={`Show removed ones (${removed})`} checked={view.removed ?? false}
              onChange={(box) => change({ removed: box.currentTarget.checked || undefined }, { replace: true })} />
          )}
        </Group>
      )}
      {none && (
        <Empty title="No source yet" action={add}>
          A provider such as GitHub or Stripe sends its webhooks to the receiving URL of a source. The gateway verifies them, keeps
          them, and delivers them to your endpoints. Making one takes a minute: choose the provider, copy the URL, watch the first request arrive.
        </Empty>
      )}
      {rows.length > 0 && (
        <Card p={0} component="ul" className="plain-list" aria-label="Sources">
          {rows.map((source) => (
            <Row key={source.id} source={source} activity={activity.data?.find((one) => one.id === source.id)} counted={activity.data !== undefined}
              problems={problems.data?.data.filter((one) => one.sourceId === source.id && ABOUT_SOURCES.has(one.kind)) ?? []} />
          ))}
        </Card>
      )}
      {sources.data && rows.length === 0 && !none && <Text c="dimmed" py="lg" ta="center">No source fits.</Text>}
    </Page>
  );
}

interface RowProps { source: Source; activity: SourceActivity | undefined; counted: boolean; problems: ProblemOut[] }

function Row({ source, activity, counted, problems }: RowProps) {
  // Only rows in sight ask for their newest event, so that hundreds of sources cost no more than a screen of them.
  const { ref, inViewport } = useInViewport();
  const newest = useQuery({ ...newestEventsQuery(source.id, 1), refetchInterval: 15_000, staleTime: 10_000, enabled: inViewport });
  const last = newest.data?.[0];
  return (
    <li className="source-row" ref={ref}>
      <div>
        <Link className="plain" to="/sources/$sourceId" params={{ sourceId: source.id }}>
          <Text span fw={600} className="foreign">{nameOf(source)}</Text>
        </Link>
        <Text size="xs" c="dimmed">{source.providerName ?? source.provider}{source.origin === "file" && " · in the operator's file"}</Text>
      </div>
      <Group gap={4} wrap="nowrap" className="wide" miw={0}>
        {source.receivingUrl ? (
          <>
            <Text size="xs" className="mono foreign" data-truncate truncate title={source.receivingUrl}>{source.receivingUrl}</Text>
            <CopyButton value={source.receivingUrl} label={`Copy the URL of ${nameOf(source)}`} />
          </>
        ) : <Text size="xs" c="dimmed">no receiving URL</Text>}
      </Group>
      <Stack gap={4} className="wide" align="flex-start"><Standing source={source} problems={problems} /></Stack>
      <div className="wide">
        <Text size="sm">{last ? <Time at={last.receivedAt} show="ago" quiet /> : newest.data ? "no event yet" : " "}</Text>
        <Text size="xs" c="dimmed">
          {activity && activity.received > 0 ? `${fullCount(activity.received)} in a day` : counted && !last ? "none in a day" : ""}
          {activity && activity.refused > 0 && <>, <Link className="link" to="/quarantine" search={{ source: source.id }}>{fullCount(activity.refused)} refused</Link></>}
        </Text>
      </div>
    </li>
  );
}

/** The words for how a source is: its warnings in short, whole on hover and focus. */
function Standing({ source, problems }: { source: Source; problems: ProblemOut[] }) {
  if (source.removed) return <State state="removed" tone="none" />;
  const marks: Mark[] = problems.map((problem) => ({
    word: problem.kind === "source_quiet" ? quietSince(problem.since) : "refusing", tone: problem.severity === "error" ? "bad" : "warn", says: `${problem.title}. ${problem.detail}`,
  }));
  if (source.credentials && source.credentials.length > 0 && source.credentials.every((credential) => !credential.set)) {
    marks.push({ word: "no secret yet", tone: "warn", says: "Requests are kept in quarantine until its secret is set." });
  }
  for (const says of source.warnings) marks.push(markOf(source, says));
  const endpoints = source.endpoints.length;
  return (
    <>
      <Group gap={4}>
        {marks.length === 0 && <State state="receiving" tone="good" />}
        {marks.map((mark) => (
          <Tooltip key={mark.says} label={mark.says}><span><State state={mark.word} tone={mark.tone} /></span></Tooltip>
        ))}
      </Group>
      {endpoints > 0 && <Text size="xs" c="dimmed" className="foreign">to {source.endpoints.slice(0, 3).join(", ")}{endpoints > 3 && ` and ${endpoints - 3} more`}</Text>}
    </>
  );
}

const quietSince = (since: string | null) => (since === null ? "quiet" : `quiet since ${local(Date.parse(since), Date.now())}`);

interface Mark { word: string; tone: "warn" | "bad"; says: string }

function markOf(source: Source, says: string): Mark {
  if (says.startsWith("it receives nothing")) return { word: "receives nothing", tone: "bad", says };
  if (says.startsWith("it has no endpoint")) return { word: "no endpoint", tone: "warn", says };
  if (says.startsWith("a handshake")) return { word: "secret waits", tone: "warn", says };
  if (source.verification === "observe" && says === source.warnings[0]) return { word: "observes only", tone: "bad", says };
  return { word: source.provider === "none" ? "not verified" : "weak proof", tone: "warn", says };
}
