// One application: its endpoints, its events, the portal that its people see, and its keys.
import { Badge, Button, Group, Menu, Tabs, Text } from "@mantine/core";
import { IconDots, IconEdit, IconPlus, IconTrash } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";

import { type Application, applicationEndpointsQuery, applicationQuery, deleteApplication } from "../../api/queries/applications";
import { useSelf } from "../../api/queries/common";
import { activityByEndpointQuery, everyEndpointQuery } from "../../api/queries/endpoints";
import { confirm } from "../../parts/Confirm";
import { CopyButton } from "../../parts/CopyButton";
import { Empty } from "../../parts/Empty";
import { counted } from "../../parts/format";
import { notify } from "../../parts/notify";
import { Page, PageSkeleton } from "../../parts/Page";
import { Trouble } from "../../parts/Trouble";
import { Endpoints } from "../endpoints";
import { NewEndpoint } from "../endpoints/NewEndpoint";
import "../endpoints/pages.css";
import { ApplicationDialog } from "./ApplicationDialog";
import { EventsTab } from "./Events";
import { limitsOf } from "./index";
import { IntegrationsTab } from "./Integrations";
import { PortalTab } from "./Portal";
import type { ApplicationSearch } from "./search";
import { UsageTab } from "./Usage";

/** The page of an application. */
export function ApplicationPage() {
  const { applicationId } = useParams({ from: "/applications/$applicationId" });
  const application = useQuery(applicationQuery(applicationId));
  if (application.error) {
    return (
      <Page title="Application" crumbs={[{ label: "Applications", to: "/applications" }]}>
        <Trouble error={application.error} retry={() => void application.refetch()} />
      </Page>
    );
  }
  return application.data ? <Known application={application.data} /> : <PageSkeleton />;
}

const FIRST = "endpoints";

function Known({ application }: { application: Application }) {
  const me = useSelf();
  const search = useSearch({ from: "/applications/$applicationId" });
  const navigate = useNavigate({ from: "/applications/$applicationId" });
  const [editing, setEditing] = useState(false);
  const set = (change: ApplicationSearch) => void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  return (
    <Page title={application.name === "" ? application.id : application.name} crumbs={[{ label: "Applications", to: "/applications" }]}
      lead={<Lead application={application} />}
      actions={me.changes && (
        <>
          <Button variant="default" leftSection={<IconEdit size={14} />} onClick={() => setEditing(true)}>Edit</Button>
          <More application={application} />
        </>
      )}>
      {editing && <ApplicationDialog application={application} close={() => setEditing(false)} />}
      <Tabs value={search.tab ?? FIRST} keepMounted={false} onChange={(tab) => set({ tab: tab === null || tab === FIRST ? undefined : tab })}>
        <Tabs.List className="tabs-scroll">
          <Tabs.Tab value={FIRST}>Endpoints</Tabs.Tab>
          <Tabs.Tab value="events">Events</Tabs.Tab>
          <Tabs.Tab value="portal">Portal</Tabs.Tab>
          <Tabs.Tab value="integrations">Integrations</Tabs.Tab>
          <Tabs.Tab value="usage">Usage</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value={FIRST} pt="md"><EndpointsTab application={application} /></Tabs.Panel>
        <Tabs.Panel value="events" pt="md"><EventsTab application={application} /></Tabs.Panel>
        <Tabs.Panel value="portal" pt="md"><PortalTab application={application} /></Tabs.Panel>
        <Tabs.Panel value="integrations" pt="md"><IntegrationsTab application={application} /></Tabs.Panel>
        <Tabs.Panel value="usage" pt="md"><UsageTab application={application} task={search.task} watch={(task) => set({ task })} /></Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function Lead({ application }: { application: Application }) {
  const limits = limitsOf(application);
  const metadata = Object.entries(application.metadata);
  return (
    <Group gap="xs" component="span">
      {application.uid && <Text span size="sm" c="dimmed">Uid <span className="mono foreign">{application.uid}</span></Text>}
      <Text span size="sm" c="dimmed"><span className="mono foreign">{application.id}</span> <CopyButton value={application.id} label="Copy the id" /></Text>
      {limits !== "–" && <Text span size="sm" c="dimmed">{limits}</Text>}
      {metadata.map(([name, value]) => (
        <Badge key={name} variant="default" radius="sm" tt="none" fw={400}><span className="foreign">{name} = {String(value)}</span></Badge>
      ))}
    </Group>
  );
}

function More({ application }: { application: Application }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const remove = async () => {
    const yes = await confirm({
      title: `Delete ${application.name}?`, danger: true, confirmLabel: "Delete the application",
      message: "Its endpoints go with it, what waits is cancelled, and nothing can be posted for it any more. This cannot be taken back.",
    });
    if (!yes) return;
    try {
      await deleteApplication(application.id);
      queries.removeQueries({ queryKey: ["applications", application.id] });
      await navigate({ to: "/applications" });
      await queries.invalidateQueries({ queryKey: ["applications"], exact: true });
      notify.done("The application is deleted.");
    } catch (problem) {
      notify.failed(problem);
    }
  };
  return (
    <Menu position="bottom-end" width={220}>
      <Menu.Target><Button variant="default" px={8} aria-label="More"><IconDots size={16} /></Button></Menu.Target>
      <Menu.Dropdown>
        <Menu.Item renderRoot={(props) => <Link to="/events" search={{ application: application.id }} {...props} />}>Events of this application</Menu.Item>
        <Menu.Item color="red" leftSection={<IconTrash size={14} />} onClick={() => void remove()}>Delete the application</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function EndpointsTab({ application }: { application: Application }) {
  const me = useSelf();
  const [making, setMaking] = useState(false);
  const own = useInfiniteQuery(applicationEndpointsQuery(application.id));
  // How they fail is only in the view across all owners; what is not on its first page is shown without.
  const every = useInfiniteQuery(everyEndpointQuery);
  const activity = useQuery({ ...activityByEndpointQuery, retry: false });
  const known = new Map(every.data?.pages.flatMap((page) => page.data).map((one) => [one.id, one]) ?? []);
  const rows = (own.data?.pages.flatMap((page) => page.data) ?? []).map((one) => known.get(one.id) ?? {
    id: one.id, uid: one.uid ?? one.id, url: one.url, description: one.description, kind: "http" as const, state: one.state ?? "enabled",
    stateReason: null, failingSince: null, source: application.name, sourceId: application.id,
  });
  const create = me.changes && me.payloads && <Button leftSection={<IconPlus size={14} />} onClick={() => setMaking(true)}>New endpoint</Button>;
  return (
    <>
      {making && <NewEndpoint owner={{ kind: "application", id: application.id }} close={() => setMaking(false)} />}
      {own.error && <Trouble error={own.error} retry={() => void own.refetch()} />}
      {own.isSuccess && rows.length === 0 && (
        <Empty title="It has no endpoints yet" action={create}>
          An endpoint is a URL of the customer that gets the events you post for this application. The customer can also add some in the portal.
        </Empty>
      )}
      {rows.length > 0 && (
        <>
          <Group justify="space-between" mb="xs"><Text size="xs" c="dimmed">{counted(rows.length, "endpoint")}</Text>{create}</Group>
          <Endpoints rows={rows} activity={activity.data} />
        </>
      )}
      {own.hasNextPage && <Group justify="center" mt="sm"><Button variant="default" onClick={() => void own.fetchNextPage()}>Show more</Button></Group>}
    </>
  );
}
