// One endpoint: how it does, what came of the attempts, and everything that can be set.
import { Button, Menu, Tabs, Text } from "@mantine/core";
import { IconDots, IconSend, IconTrash } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";

import { call } from "../../api/client";
import { useSelf } from "../../api/queries/common";
import { type Endpoint, endpointQuery, type Owner, pathOf } from "../../api/queries/endpoints";
import { confirm } from "../../parts/Confirm";
import { CopyButton } from "../../parts/CopyButton";
import { notify } from "../../parts/notify";
import { Page, PageSkeleton } from "../../parts/Page";
import { Trouble } from "../../parts/Trouble";
import { Attempts } from "./Attempts";
import { Health } from "./Health";
import { OwnerLink, Standing } from "./index";
import { lockOf, nameOf, useOwner } from "./owner";
import { ReplayTab, Running } from "./Replay";
import type { EndpointSearch } from "./search";
import { SendTest } from "./SendTest";
import { Settings } from "./Settings";
import { States } from "./States";
import "./pages.css";
import { FilterTab, SecurityTab, TransformationTab } from "./tabs";

/** The page of an endpoint. */
export function EndpointPage() {
  const { endpointId } = useParams({ from: "/endpoints/$endpointId" });
  const endpoint = useQuery(endpointQuery(endpointId));
  const owner = useOwner(endpoint.data);
  if (endpoint.error && !endpoint.data) {
    return (
      <Page title="Endpoint" crumbs={[{ label: "Endpoints", to: "/endpoints" }]}>
        <Trouble error={endpoint.error} retry={() => void endpoint.refetch()} />
      </Page>
    );
  }
  if (!endpoint.data || !owner) return <PageSkeleton />;
  return <Known endpoint={endpoint.data} owner={owner} />;
}

const OVERVIEW = "attempts";

function Known({ endpoint, owner }: { endpoint: Endpoint; owner: Owner }) {
  const me = useSelf();
  const search = useSearch({ from: "/endpoints/$endpointId" });
  const navigate = useNavigate({ from: "/endpoints/$endpointId" });
  const [testing, setTesting] = useState(false);
  const set = (change: EndpointSearch) => void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  const locked = lockOf(endpoint, me);
  const alive = endpoint.state !== "removed";
  const sends = owner.kind !== "gateway" && me.changes && alive && endpoint.state !== "disabled";
  return (
    <Page title={nameOf(endpoint)} aside={<Standing endpoint={endpoint} />} crumbs={crumbsOf(endpoint, owner)}
      lead={<Lead endpoint={endpoint} owner={owner} />}
      actions={(
        <>
          {sends && <Button variant="default" leftSection={<IconSend size={14} />} onClick={() => setTesting(true)}>Send a test event</Button>}
          <States endpoint={endpoint} may={me.changes && alive && endpoint.kind !== "listen"} />
          {!locked && <More endpoint={endpoint} owner={owner} />}
        </>
      )}>
      {testing && <SendTest endpoint={endpoint} owner={owner} close={() => setTesting(false)} />}
      {search.task && <Running key={search.task} endpoint={endpoint} task={search.task} total={search.total} close={() => set({ task: undefined, total: undefined })} />}
      <Tabs value={search.tab ?? OVERVIEW} onChange={(tab) => set({ tab: tab === null || tab === OVERVIEW ? undefined : tab })} keepMounted={false}>
        <Tabs.List className="tabs-scroll">
          <Tabs.Tab value={OVERVIEW}>Attempts</Tabs.Tab>
          <Tabs.Tab value="settings">Settings</Tabs.Tab>
          <Tabs.Tab value="filter">Filter</Tabs.Tab>
          {owner.kind !== "gateway" && <Tabs.Tab value="transformation">Transformation</Tabs.Tab>}
          {endpoint.kind === "http" && <Tabs.Tab value="security">Secret and headers</Tabs.Tab>}
          {owner.kind !== "gateway" && <Tabs.Tab value="replay">Replay</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value={OVERVIEW} pt="md">
          <Health endpoint={endpoint} owner={owner} />
          <Attempts endpointId={endpoint.id} outcome={search.outcome} setOutcome={(outcome) => set({ outcome })} />
        </Tabs.Panel>
        <Tabs.Panel value="settings" pt="md"><Settings endpoint={endpoint} owner={owner} locked={locked} /></Tabs.Panel>
        <Tabs.Panel value="filter" pt="md"><FilterTab endpoint={endpoint} owner={owner} locked={locked} me={me} /></Tabs.Panel>
        <Tabs.Panel value="transformation" pt="md"><TransformationTab endpoint={endpoint} owner={owner} locked={locked} me={me} /></Tabs.Panel>
        <Tabs.Panel value="security" pt="md"><SecurityTab endpoint={endpoint} owner={owner} locked={locked} me={me} /></Tabs.Panel>
        <Tabs.Panel value="replay" pt="md"><ReplayTab endpoint={endpoint} owner={owner} me={me} watch={(task, total) => set({ task, total })} /></Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function crumbsOf(endpoint: Endpoint, owner: Owner) {
  const list = { label: "Endpoints", to: "/endpoints" };
  if (owner.kind === "gateway" || endpoint.source === null) return [list];
  const to = owner.kind === "source" ? `/sources/${owner.id}` : `/applications/${owner.id}`;
  return [list, { label: endpoint.source, to }];
}

function Lead({ endpoint, owner }: { endpoint: Endpoint; owner: Owner }) {
  const whose = owner.kind === "gateway" ? "Gets events about the gateway itself at" : "Of";
  return (
    <>
      <Text size="sm" c="dimmed" component="div">
        {whose} {owner.kind !== "gateway" && <><OwnerLink endpoint={endpoint} />, at </>}
        <span className="mono foreign">{endpoint.url}</span> <CopyButton value={endpoint.url} label="Copy the URL" />
      </Text>
      {endpoint.description !== "" && endpoint.description !== nameOf(endpoint) && <Text size="sm" c="dimmed" className="foreign">{endpoint.description}</Text>}
    </>
  );
}

function More({ endpoint, owner }: { endpoint: Endpoint; owner: Owner }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const remove = async () => {
    const yes = await confirm({
      title: `Delete ${nameOf(endpoint)}?`, danger: true, confirmLabel: "Delete the endpoint",
      message: "Nothing is delivered here any more, and what waits is cancelled. Its history stays as long as its events are kept.",
    });
    if (!yes) return;
    try {
      await call("DELETE", pathOf(owner, endpoint.id));
      await queries.invalidateQueries({ queryKey: ["endpoints"] });
      notify.done("The endpoint is deleted.");
      if (owner.kind === "application") await navigate({ to: "/applications/$applicationId", params: { applicationId: owner.id } });
      else await navigate({ to: "/endpoints" });
    } catch (problem) {
      notify.failed(problem);
    }
  };
  return (
    <Menu position="bottom-end" width={200}>
      <Menu.Target><Button variant="default" px={8} aria-label="More"><IconDots size={16} /></Button></Menu.Target>
      <Menu.Dropdown>
        <Menu.Item renderRoot={(props) => <Link to="/events" search={{ endpoint: endpoint.id }} {...props} />}>Events of this endpoint</Menu.Item>
        <Menu.Item color="red" leftSection={<IconTrash size={14} />} onClick={() => void remove()}>Delete the endpoint</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
