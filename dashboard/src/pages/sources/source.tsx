// One source: its URL, its secrets, its rules, what came in, and a way to try it.
import { Alert, Button, Group, List, Tabs, Text } from "@mantine/core";
import { IconAlertTriangle, IconLock, IconTrash } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Suspense, lazy } from "react";

import { type Source, providerQuery, removeSource, sourceQuery } from "../../api/queries/sources";
import { useSelf } from "../../api/queries/common";
import { problemsQuery } from "../../api/queries/home";
import { confirm } from "../../parts/Confirm";
import { Page, PageSkeleton } from "../../parts/Page";
import { State } from "../../parts/State";
import { Trouble } from "../../parts/Trouble";
import { notify } from "../../parts/notify";
import { Rename } from "./Rename";
import { nameOf } from "./names";
import { TABS, type Tab, sourceSearch } from "./search";
import { Overview } from "./sections/Overview";
import { Verifying } from "./sections/Verifying";
import "./sources.css";
import { useView } from "./view";

const Rules = lazy(() => import("./sections/Rules").then((file) => ({ default: file.Rules })));
const TestEvent = lazy(() => import("./sections/TestEvent").then((file) => ({ default: file.TestEvent })));

const LABELS: Record<Tab, string> = { overview: "Overview", verification: "Verification", rules: "Rules", test: "Test" };

export function SourcePage() {
  const { sourceId } = useParams({ from: "/sources/$sourceId" });
  const source = useQuery(sourceQuery(sourceId));
  const crumbs = [{ label: "Sources", to: "/sources" }];
  if (source.error && !source.data) {
    return <Page title="Source" crumbs={crumbs}><Trouble error={source.error} retry={() => void source.refetch()} /></Page>;
  }
  if (!source.data) return <PageSkeleton rows={6} />;
  return <Shown source={source.data} crumbs={crumbs} />;
}

function Shown({ source, crumbs }: { source: Source; crumbs: { label: string; to: string }[] }) {
  const [view, change] = useView(sourceSearch);
  const provider = useQuery({ ...providerQuery(source.provider), retry: false });
  const tab = view.tab ?? "overview";
  const locked = lockedBecause(source, useSelf().changes);
  return (
    <Page title={nameOf(source)} crumbs={crumbs}
      aside={<Group gap="xs"><Text c="dimmed">{source.providerName ?? source.provider}</Text>{source.removed && <State state="removed" tone="none" />}</Group>}
      actions={!locked && <><Rename source={source} /><Remove source={source} /></>}>
      {locked && <Alert color="gray" variant="light" icon={<IconLock size={18} />} title={locked.title}>{locked.says}</Alert>}
      <Warnings source={source} />
      <Problems source={source} />
      <Tabs value={tab} keepMounted={false} onChange={(to) => change({ tab: to === "overview" ? undefined : (to as Tab) }, { replace: true })}>
        <Tabs.List mb="md">
          {TABS.map((one) => <Tabs.Tab key={one} value={one}>{LABELS[one]}</Tabs.Tab>)}
        </Tabs.List>
        <Tabs.Panel value="overview"><Overview source={source} /></Tabs.Panel>
        <Tabs.Panel value="verification"><Verifying source={source} provider={provider.data} locked={locked !== null} /></Tabs.Panel>
        <Tabs.Panel value="rules"><Suspense fallback={<PageSkeleton rows={5} />}><Rules source={source} locked={locked !== null} /></Suspense></Tabs.Panel>
        <Tabs.Panel value="test"><Suspense fallback={<PageSkeleton rows={5} />}><TestEvent source={source} provider={provider.data} /></Suspense></Tabs.Panel>
      </Tabs>
    </Page>
  );
}

/** Why nothing can be changed here; null if it can. */
function lockedBecause(source: Source, changes: boolean): { title: string; says: string } | null {
  if (source.removed) return { title: "This source was removed", says: "Its events can still be looked at. Nothing more is received." };
  if (source.origin === "file") {
    return {
      title: "This source is in the operator's file",
      says: `The file owns what it declares: change the [[source]] with id = "${source.uid}" there; the gateway applies it without a restart. Here everything can be seen and tried.`,
    };
  }
  return changes ? null : { title: "You can look, not change", says: "Your role is viewer. Ask an admin or a developer for changes." };
}

/** What the gateway has noticed about it: it is quiet, or refuses more than usual. */
function Problems({ source }: { source: Source }) {
  const problems = useQuery(problemsQuery);
  const own = problems.data?.data.filter((problem) => problem.sourceId === source.id && problem.endpointId === null) ?? [];
  return own.map((problem) => (
    <Alert key={problem.kind} color={problem.severity === "error" ? "red" : "yellow"} variant="light" icon={<IconAlertTriangle size={18} />} title={problem.title}>
      <Text>{problem.detail}</Text>
      <Text>{problem.hint}</Text>
    </Alert>
  ));
}

function Warnings({ source }: { source: Source }) {
  const told = source.warnings.filter((warning) => !warning.startsWith("it has no endpoint"));
  if (told.length === 0 || source.removed) return null;
  return (
    <Alert color={source.verification === "observe" ? "red" : "yellow"} variant="light" icon={<IconAlertTriangle size={18} />} title="Keep in mind">
      {told.length === 1 ? <Text>{sentence(told[0] ?? "")}</Text> : <List size="sm">{told.map((warning) => <List.Item key={warning}>{sentence(warning)}</List.Item>)}</List>}
    </Alert>
  );
}

const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

function Remove({ source }: { source: Source }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const remove = useMutation({
    mutationFn: () => removeSource(source.id),
    onSuccess: () => {
      notify.done(`${nameOf(source)} is deleted.`);
      void queries.invalidateQueries({ queryKey: ["sources"] });
      void navigate({ to: "/sources" });
    },
    onError: (error) => notify.failed(error),
  });
  async function ask() {
    const yes = await confirm({
      title: `Delete ${nameOf(source)}?`, confirmLabel: "Delete the source", danger: true,
      message: "Its receiving URL stops at once: the provider gets 404. Its endpoints are removed, and what waits for them is cancelled. Events that were received stay as long as retention keeps them.",
    });
    if (yes) remove.mutate();
  }
  return <Button variant="default" color="red" leftSection={<IconTrash size={15} aria-hidden />} loading={remove.isPending} onClick={() => void ask()}>Delete</Button>;
}
