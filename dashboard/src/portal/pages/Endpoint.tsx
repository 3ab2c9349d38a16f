// One endpoint: how it stands, what was delivered, trying it out, its secret, its settings.
import { Alert, Button, Skeleton, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, type ReactNode } from "react";

import { confirm } from "../../parts/Confirm";
import { CopyButton } from "../../parts/CopyButton";
import { notify } from "../../parts/notify";
import { State } from "../../parts/State";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { api, ask, plain } from "../api";
import { useRights, type Rights } from "../context";
import { MessageList } from "../MessageList";
import { Page } from "../Page";
import { to } from "../place";
import { endpointQuery, standingQuery, statsQuery, type Endpoint } from "../queries";
import { nameOf, stateOf } from "../words";
import { Figures } from "../Figures";

const Recovery = lazy(() => import("../Recovery").then(({ Recovery: part }) => ({ default: part })));
const TestTab = lazy(() => import("../TestTab").then(({ TestTab: part }) => ({ default: part })));
const SettingsTab = lazy(() => import("../SettingsTab").then(({ SettingsTab: part }) => ({ default: part })));
const SecretTab = lazy(() => import("../SecretTab").then(({ SecretTab: part }) => ({ default: part })));
const TransformTab = lazy(() => import("../TransformTab").then(({ TransformTab: part }) => ({ default: part })));

export interface EndpointPageProps {
  id: string;
  tab: string;
  query: URLSearchParams;
}

function tabsOf(rights: Rights): [string, string][] {
  return [
    ["", "Deliveries"],
    ...(rights.attempt ? [["test", "Test"], ["recover", "Recover"]] as [string, string][] : []),
    ["verify", rights.seeSecret ? "Signing secret" : "Verify"],
    ["settings", "Settings"],
    ...(rights.transform ? [["transform", "Transformation"]] as [string, string][] : []),
  ];
}

export function EndpointPage({ id, tab, query }: EndpointPageProps) {
  const rights = useRights();
  const endpoint = useQuery(endpointQuery(rights.app, id));
  const back = { label: "Endpoints", href: to(["endpoints"]) };
  if (endpoint.error && !endpoint.data) {
    return <Page title="Endpoint" back={back}><Trouble error={endpoint.error} retry={() => void endpoint.refetch()} /></Page>;
  }
  if (!endpoint.data) return <Page title="Endpoint" back={back}><Skeleton h={200} /></Page>;
  const shown = endpoint.data;
  const tabs = tabsOf(rights);
  const at = tabs.some(([name]) => name === tab) ? tab : "";
  return (
    <Page title={nameOf(shown)} back={back} aside={<State state={stateOf(shown)} />}
      actions={rights.manage ? <Actions endpoint={shown} /> : undefined}
      lead={<span className="address"><span className="mono foreign">{shown.url}</span> <CopyButton value={shown.url} label="Copy the URL" /></span>}>
      <Standing endpoint={shown} />
      <EndpointFigures id={id} />
      <nav className="portal-tabs" aria-label="This endpoint">
        {tabs.map(([name, label]) => (
          <a key={name} href={to(["endpoints", id, ...(name ? [name] : [])])} {...(at === name && { "aria-current": "page" as const })}>{label}</a>
        ))}
      </nav>
      <Suspense fallback={<Skeleton h={200} />}>{content(at, shown, query)}</Suspense>
    </Page>
  );
}

function content(tab: string, endpoint: Endpoint, query: URLSearchParams): ReactNode {
  switch (tab) {
    case "test": return <TestTab endpoint={endpoint} />;
    case "recover": return <Recovery endpoint={endpoint} />;
    case "verify": return <SecretTab endpoint={endpoint} />;
    case "settings": return <SettingsTab endpoint={endpoint} />;
    case "transform": return <TransformTab endpoint={endpoint} />;
    default: return <MessageList endpoint={endpoint.id} query={query} here={["endpoints", endpoint.id]} />;
  }
}

/** Why it is not delivered to, or that it fails. */
function Standing({ endpoint }: { endpoint: Endpoint }) {
  const { app, attempt } = useRights();
  const standing = useQuery(standingQuery(app, endpoint.id));
  const state = stateOf(endpoint);
  const reason = standing.data?.stateReason;
  const since = standing.data?.failingSince;
  if (state === "disabled") {
    return (
      <Alert color="red" variant="light" title="Disabled: nothing is delivered here">
        <Text className="foreign">
          {reason && !/through the API/.test(reason) ? `Reason: ${reason}. ` : ""}Events that happen meanwhile are not sent here.
          {attempt ? " After enabling it, “Recover” sends what was missed." : ""}
        </Text>
      </Alert>
    );
  }
  if (state === "paused") {
    return (
      <Alert color="yellow" variant="light" title="Paused: deliveries wait">
        <Text className="foreign">{reason && !/through the API/.test(reason) ? `Reason: ${reason}. ` : ""}New events are kept and delivered once it goes on.</Text>
      </Alert>
    );
  }
  if (!since) return null;
  return (
    <Alert color="yellow" variant="light" title="This endpoint has been failing">
      <Text>Since <Time at={since} />. If that goes on for days, it is disabled by itself.</Text>
    </Alert>
  );
}

function EndpointFigures({ id }: { id: string }) {
  const { app } = useRights();
  const stats = useQuery(statsQuery(app, id));
  return stats.data ? <Figures stats={stats.data} /> : <Skeleton h={66} />;
}

type Act = "pause" | "resume" | "enable" | "disable" | "delete";

function Actions({ endpoint }: { endpoint: Endpoint }) {
  const { app } = useRights();
  const queries = useQueryClient();
  const path = { params: { path: { app_id: app, endpoint_id: endpoint.id } } };
  const act = async (what: Act) => {
    if (!(await sure(what, endpoint))) return;
    try {
      if (what === "delete") await ask(api.DELETE("/api/v1/app/{app_id}/endpoint/{endpoint_id}", path));
      else if (what === "pause" || what === "resume") await plain("POST", `/api/v1/becket/endpoint/${encodeURIComponent(endpoint.id)}/${what}`, {});
      else await ask(api.PATCH("/api/v1/app/{app_id}/endpoint/{endpoint_id}", { ...path, body: { disabled: what === "disable" } }));
      notify.done(DONE[what]);
      if (what === "delete") window.location.hash = to(["endpoints"]);
      await queries.invalidateQueries({ queryKey: [app] });
    } catch (error) {
      notify.failed(error);
    }
  };
  const state = stateOf(endpoint);
  // A gateway that tells portals how an endpoint stands lets them pause it too.
  const pauses = useQuery(standingQuery(app, endpoint.id)).isSuccess;
  const button = (what: Act, label: string) => <Button key={what} variant="default" onClick={() => void act(what)}>{label}</Button>;
  return (
    <>
      {pauses && state === "enabled" && button("pause", "Pause")}
      {pauses && state === "paused" && button("resume", "Resume")}
      {state === "disabled" ? button("enable", "Enable") : button("disable", "Disable")}
      <Button variant="default" c="var(--mantine-color-error)" onClick={() => void act("delete")}>Delete</Button>
    </>
  );
}

const DONE: Record<Act, string> = {
  pause: "Paused. Deliveries wait until you resume.",
  resume: "Resumed. What waited is being delivered.",
  enable: "Enabled.",
  disable: "Disabled.",
  delete: "The endpoint is deleted.",
};

async function sure(what: Act, endpoint: Endpoint): Promise<boolean> {
  if (what === "delete") {
    return confirm({
      title: "Delete this endpoint?", confirmLabel: "Delete", danger: true,
      message: `Nothing more is delivered to ${endpoint.url}. What still waits for it is dropped. This cannot be taken back.`,
    });
  }
  if (what === "disable") {
    return confirm({
      title: "Disable this endpoint?", confirmLabel: "Disable", danger: true,
      message: "Events that happen while it is disabled are not sent here. To hold them back for later instead, pause it.",
    });
  }
  return true;
}
